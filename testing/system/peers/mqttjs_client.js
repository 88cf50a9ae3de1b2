// A device that uses mqtt.js. Its one argument is JSON; see `client.rs`, which starts it.
//
// Prints one line of JSON for each thing that happens: connected, subscribed, message, acknowledged.

const fs = require("node:fs");
const mqtt = require("mqtt");

const options = JSON.parse(process.argv[2]);
const say = (event, rest = {}) => console.log(JSON.stringify({ event, ...rest }));
const keep = options.clean === false;

const client = mqtt.connect({
  protocol: (options.carrier === "websocket" ? "ws" : "mqtt") + (options.tls ? "s" : ""),
  path: "/mqtt",
  host: options.host,
  port: options.port,
  clientId: options.client,
  protocolVersion: options.version,
  clean: !keep,
  reconnectPeriod: 0,
  properties: options.version === 5 && keep ? { sessionExpiryInterval: 3600 } : undefined,
  ca: options.tls && fs.readFileSync(options.tls.ca),
  cert: options.tls && fs.readFileSync(options.tls.certificate),
  key: options.tls && fs.readFileSync(options.tls.key),
});

client.on("connect", (packet) => {
  say("connected", { session: packet.sessionPresent });
  if (options.do === "subscribe") {
    client.subscribe(options.filter, { qos: options.qos }, (error, granted) => {
      say("subscribed", { codes: error ? [128] : granted.map((grant) => grant.qos) });
    });
  } else if (options.do === "publish") {
    options.payloads.forEach((payload, number) => {
      const how = { qos: options.qos, retain: options.retain === true };
      client.publish(options.topic, payload, how, (error, packet) => {
        const code = error ? 128 : (packet && packet.reasonCode) || 0;
        say(options.qos === 0 ? "sent" : "acknowledged", { number, code });
      });
    });
  }
});

client.on("message", (topic, payload, packet) => {
  const { qos, retain } = packet;
  say("message", { topic, payload: payload.toString(), qos, retain });
});

client.on("error", (error) => {
  say("refused", { reason: error.message });
  client.end(true);
});
