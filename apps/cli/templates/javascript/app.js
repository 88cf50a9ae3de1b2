// Sets the fan for a temperature: the hotter, the faster.

exports.handler = async (event) => {
  const { celsius } = event;
  const speed = Math.max(0, Math.min(100, Math.round((celsius - 28) * 20)));
  console.log(`${celsius} degrees: fan at ${speed} %`);
  return { fan: speed ? "on" : "off", speed, celsius };
};
