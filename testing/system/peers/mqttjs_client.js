// A device that uses mqtt.js. Its one argument is JSON; see `client.rs`, which starts it. Prints one
// line of JSON for each thing that happens, as the Python devices do (`report.py`).

const fs = require("node:fs");
const mqtt = require("mqtt");

const told = JSON.parse(process.argv[2]);
const say = (event, rest = {}) => console.log(JSON.stringify({ event, ...rest }));
const keep = told.clean === false;
const isVersion5 = told.version === 5;

function publishProperties(what) {
  const wanted = what.properties;
  if (!isVersion5 || !wanted) return undefined;
  const user = {};
  for (const [name, value] of wanted.user ?? []) (user[name] ??= []).push(value);
  const all = {
    contentType: wanted.content_type,
    responseTopic: wanted.response_topic,
    correlationData: wanted.correlation && Buffer.from(wanted.correlation),
    messageExpiryInterval: wanted.expiry_s,
    userProperties: wanted.user && user,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function found(properties = {}) {
  const user = Object.entries(properties.userProperties ?? {});
  return {
    content_type: properties.contentType,
    response_topic: properties.responseTopic,
    correlation: properties.correlationData?.toString(),
    expiry_s: properties.messageExpiryInterval,
    user: properties.userProperties && user.flatMap(([name, v]) => [v].flat().map((v) => [name, v])),
    subscription_ids: properties.subscriptionIdentifier && [properties.subscriptionIdentifier].flat(),
  };
}

const will = told.will && {
  ...told.will,
  retain: told.will.retain === true,
  properties: isVersion5
    ? { ...publishProperties(told.will), willDelayInterval: told.will.delay_s ?? 0 }
    : undefined,
};

const client = mqtt.connect({
  protocol: (told.carrier === "websocket" ? "ws" : "mqtt") + (told.tls ? "s" : ""),
  path: "/mqtt",
  host: told.host,
  port: told.port,
  clientId: told.client,
  username: told.user,
  password: told.password,
  protocolVersion: told.version,
  clean: !keep,
  reconnectPeriod: 0,
  properties: isVersion5 && keep ? { sessionExpiryInterval: 3600 } : undefined,
  will,
  ca: told.tls && fs.readFileSync(told.tls.ca),
  cert: told.tls && fs.readFileSync(told.tls.certificate),
  key: told.tls && fs.readFileSync(told.tls.key),
  ALPNProtocols: told.alpn && [told.alpn],
});

client.on("connect", (packet) => {
  say("connected", { session: packet.sessionPresent });
  if (told.do === "subscribe" || told.do === "answer") {
    const number = told.subscription_id;
    const properties = number && { subscriptionIdentifier: number };
    client.subscribe(told.filter, { qos: told.qos, properties }, (error, granted) => {
      say("subscribed", { codes: error ? [128] : granted.map((grant) => grant.qos) });
    });
  } else if (told.do === "publish") {
    told.payloads.forEach((payload, number) => {
      const properties = publishProperties(told);
      const how = { qos: told.qos, retain: told.retain === true, properties };
      client.publish(told.topic, payload, how, (error, packet) => {
        const code = error ? 128 : (packet && packet.reasonCode) || 0;
        say(told.qos === 0 ? "sent" : "acknowledged", { number, code });
      });
    });
  }
});

client.on("message", (topic, payload, packet) => {
  const { qos, retain, properties } = packet;
  if (told.do === "answer") {
    const correlation = properties.correlationData;
    const how = { qos: 1, properties: correlation && { correlationData: correlation } };
    client.publish(properties.responseTopic, `answer to ${payload}`, how);
    return;
  }
  say("message", { topic, payload: payload.toString(), qos, retain, properties: found(properties) });
});

client.on("error", (error) => {
  say("refused", { reason: error.message, code: error.code });
  client.end(true);
});
