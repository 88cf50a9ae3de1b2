// A device that uses the AWS IoT Device SDK v2. Its one argument is JSON; see `client.rs`, which starts
// it. Prints one line of JSON for each thing that happens, as the Python devices do (`report.py`).

const { io, iot, mqtt, mqtt5 } = require("aws-iot-device-sdk-v2");

const told = JSON.parse(process.argv[2]);
const say = (event, rest = {}) => console.log(JSON.stringify({ event, ...rest }));
const keep = told.clean === false;
const text = (payload) => Buffer.from(payload ?? "").toString();

function refused(error) {
  say("refused", { reason: String(error) });
  process.exit(1);
}

// The native part takes no key without a value.
const given = (all) => Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined));

function publishPacket(what, payload) {
  const wanted = what.properties ?? {};
  return given({
    topicName: what.topic,
    payload,
    qos: what.qos,
    retain: what.retain === true,
    contentType: wanted.content_type,
    responseTopic: wanted.response_topic,
    correlationData: wanted.correlation,
    messageExpiryIntervalSeconds: wanted.expiry_s,
    userProperties: wanted.user?.map(([name, value]) => ({ name, value })),
  });
}

function found(packet) {
  return {
    content_type: packet.contentType,
    response_topic: packet.responseTopic,
    correlation: packet.correlationData && text(packet.correlationData),
    expiry_s: packet.messageExpiryIntervalSeconds,
    user: packet.userProperties?.map(({ name, value }) => [name, value]),
    subscription_ids: packet.subscriptionIdentifiers,
  };
}

async function publishAll(publish) {
  for (const [number, payload] of told.payloads.entries()) {
    const code = await publish(payload);
    say(told.qos === 0 ? "sent" : "acknowledged", { number, code });
  }
}

function config5() {
  const { tls } = told;
  const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(
    told.host,
    tls.certificate,
    tls.key,
  );
  builder.withCertificateAuthorityFromPath(undefined, tls.ca);
  builder.withPort(told.port);
  const connect = {
    clientId: told.client,
    keepAliveIntervalSeconds: 60,
    sessionExpiryIntervalSeconds: keep ? 3600 : undefined,
    will: told.will && publishPacket(told.will, told.will.payload),
    willDelayIntervalSeconds: told.will?.delay_s,
  };
  builder.withConnectProperties(given(connect));
  const { RejoinAlways, Clean } = mqtt5.ClientSessionBehavior;
  builder.withSessionBehavior(keep ? RejoinAlways : Clean);
  const config = builder.build();
  if (told.alpn) {
    // What the builder offers on port 443 only.
    const options = io.TlsContextOptions.create_client_with_mtls_from_path(tls.certificate, tls.key);
    options.override_default_trust_store_from_path(undefined, tls.ca);
    options.alpn_list = [told.alpn];
    config.tlsCtx = new io.ClientTlsContext(options);
  }
  return config;
}

function version5() {
  const client = new mqtt5.Mqtt5Client(config5());
  client.on("error", refused);
  client.on("connectionFailure", ({ error }) => refused(error));
  client.on("messageReceived", ({ message }) => {
    if (told.do === "answer") {
      const correlation = message.correlationData;
      const reply = { topic: message.responseTopic, qos: 1, properties: { correlation } };
      client.publish(publishPacket(reply, `answer to ${text(message.payload)}`));
      return;
    }
    const { topicName: topic, payload, qos, retain } = message;
    say("message", { topic, payload: text(payload), qos, retain, properties: found(message) });
  });
  client.on("connectionSuccess", async ({ connack }) => {
    say("connected", { session: connack.sessionPresent });
    if (told.do === "subscribe" || told.do === "answer") {
      const subscriptions = [{ topicFilter: told.filter, qos: told.qos }];
      const subscriptionIdentifier = told.subscription_id;
      const suback = await client.subscribe(given({ subscriptions, subscriptionIdentifier }));
      say("subscribed", { codes: suback.reasonCodes });
    } else if (told.do === "publish") {
      await publishAll(async (payload) => {
        const puback = await client.publish(publishPacket(told, payload));
        return puback?.reasonCode ?? 0;
      });
    }
  });
  client.start();
  return client;
}

async function version311() {
  const { tls, will } = told;
  const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(
    tls.certificate,
    tls.key,
  );
  builder.with_certificate_authority_from_path(undefined, tls.ca);
  builder.with_endpoint(told.host).with_port(told.port).with_client_id(told.client);
  builder.with_clean_session(!keep);
  if (will) {
    builder.with_will({ ...will, retain: will.retain === true });
  }
  const connection = new mqtt.MqttClient().new_connection(builder.build());
  connection.on("error", refused);
  connection.on("message", (topic, payload, dup, qos, retain) => {
    say("message", { topic, payload: text(payload), qos, retain, properties: {} });
  });
  say("connected", { session: await connection.connect() });
  if (told.do === "subscribe") {
    const { qos } = await connection.subscribe(told.filter, told.qos);
    say("subscribed", { codes: [qos] });
  } else if (told.do === "publish") {
    await publishAll(async (payload) => {
      await connection.publish(told.topic, payload, told.qos, told.retain === true);
      return 0;
    });
  }
  return connection;
}

// A client that nothing refers to may be collected, and the process ends with its last connection.
setInterval(() => device, 1 << 30);
const device = told.version === 5 ? version5() : version311().catch(refused);
