// Sets the lamp: tomatoes want 20,000 lux; what the sky does not give, the lamp adds.

const WANTED_LUX = 20_000;

exports.handler = async (event) => {
  const missing = Math.max(0, WANTED_LUX - event.lux);
  const percent = Math.round((missing / WANTED_LUX) * 100);
  return { lamp: percent > 0 ? "on" : "off", percent, reading: event.reading };
};
