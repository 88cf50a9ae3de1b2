use std::time::Duration;

use tomte_base::{ByteSize, QoS};
use tomte_route::Overflow;

use super::context::Context;
use crate::manifest::key_path::{KeyPath, path};
use crate::manifest::meant::{FunctionsMemory, Limits};
use crate::manifest::written::{self, AutoOrSize, SizeText};

/// Smallest limit of a packet: just enough for a CONNECT.
const MIN_PACKET: ByteSize = ByteSize(16);

/// Largest packet that MQTT can describe (MQTT 5, 2.1.4).
const MAX_PACKET: ByteSize = ByteSize(268_435_460);

/// Largest keep-alive that MQTT can describe, in seconds.
const MAX_KEEP_ALIVE_SECONDS: u64 = 65_535;

/// Most bytes of anything that is kept in memory.
const MAX_BYTES: ByteSize = ByteSize::mib(1 << 20);

/// The session expiry interval that means for ever (MQTT 5, 3.1.2.11.2).
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(super) fn limits(written: &written::Limits, context: &mut Context<'_, '_, '_>) -> Limits {
    let default = Limits::default();
    let key = |name: &str| path(["limits", name]);
    let (kib, second) = (ByteSize::kib(1), Duration::from_secs(1));
    let max_packet = context.size(
        written.max_packet.as_ref(),
        default.max_packet,
        MIN_PACKET..=MAX_PACKET,
        &key("max_packet"),
    );
    let mut size = |text: &Option<SizeText>, default: ByteSize, name: &str, most: ByteSize| {
        context.size(text.as_ref(), default, kib..=most, &key(name))
    };
    let subscription_bytes = size(
        &written.subscription_bytes,
        default.subscription_bytes,
        "subscription_bytes",
        MAX_BYTES,
    );
    let session_bytes =
        size(&written.session_bytes, default.session_bytes, "session_bytes", MAX_BYTES);
    let queued_bytes = size(&written.queued_bytes, default.queued_bytes, "queued_bytes", MAX_BYTES);
    let output_buffer =
        size(&written.output_buffer, default.output_buffer, "output_buffer", MAX_BYTES);
    let retained_bytes =
        size(&written.retained_bytes, default.retained_bytes, "retained_bytes", MAX_BYTES);
    let call_payload =
        size(&written.call_payload, default.call_payload, "call_payload", default.call_payload);
    let queued_call_bytes =
        size(&written.queued_call_bytes, default.queued_call_bytes, "queued_call_bytes", MAX_BYTES);
    let keep_alive_max = written.keep_alive_max.as_ref().map(|text| {
        let most = Duration::from_secs(MAX_KEEP_ALIVE_SECONDS);
        context.span(Some(text), most, second..=most, &key("keep_alive_max"))
    });
    Limits {
        max_packet,
        max_connections: number(written.max_connections, default.max_connections),
        max_connecting: number(written.max_connecting, default.max_connecting),
        max_sessions: number(written.max_sessions, default.max_sessions),
        max_subscriptions: number(written.max_subscriptions, default.max_subscriptions),
        subscription_bytes,
        receive_maximum: number(written.receive_maximum, default.receive_maximum),
        topic_alias_maximum: number(written.topic_alias_maximum, default.topic_alias_maximum),
        topic_alias_maximum_out: number(
            written.topic_alias_maximum_out,
            default.topic_alias_maximum_out,
        ),
        maximum_qos: QoS::from_bits(number(written.maximum_qos, default.maximum_qos as u8))
            .unwrap_or(default.maximum_qos),
        keep_alive_max: keep_alive_max
            .map(|span| u16::try_from(span.as_secs()).unwrap_or(u16::MAX)),
        connect_timeout: context.span(
            written.connect_timeout.as_ref(),
            default.connect_timeout,
            Duration::from_millis(100)..=Duration::from_secs(3600),
            &key("connect_timeout"),
        ),
        session_expiry_max: context.span(
            written.session_expiry_max.as_ref(),
            default.session_expiry_max,
            Duration::ZERO..=FOR_EVER,
            &key("session_expiry_max"),
        ),
        session_messages: number(written.session_messages, default.session_messages),
        session_bytes,
        session_overflow: written.session_overflow.map_or(default.session_overflow, overflow),
        queued_bytes,
        queued_deliveries: number(written.queued_deliveries, default.queued_deliveries),
        output_buffer,
        slow_reader_timeout: context.span(
            written.slow_reader_timeout.as_ref(),
            default.slow_reader_timeout,
            Duration::from_millis(100)..=Duration::from_secs(3600),
            &key("slow_reader_timeout"),
        ),
        retained_messages: number(written.retained_messages, default.retained_messages),
        retained_bytes,
        max_hops: number(written.max_hops, default.max_hops),
        call_payload,
        queued_calls: number(written.queued_calls, default.queued_calls),
        queued_call_bytes,
        functions_memory: functions_memory(
            written.functions_memory.as_ref(),
            &key("functions_memory"),
            context,
        ),
    }
}

/// Returns the number, which the schema has bounded, or the default.
pub(super) fn number<T: TryFrom<i64>>(written: Option<i64>, default: T) -> T {
    written.and_then(|number| T::try_from(number).ok()).unwrap_or(default)
}

pub(super) fn overflow(written: written::Overflow) -> Overflow {
    match written {
        written::Overflow::DropOldest => Overflow::DropOldest,
        written::Overflow::DropNewest => Overflow::DropNewest,
    }
}

fn functions_memory(
    written: Option<&AutoOrSize>,
    key: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> FunctionsMemory {
    match written {
        None => FunctionsMemory::Auto,
        Some(AutoOrSize(text)) if text == "auto" => FunctionsMemory::Auto,
        Some(AutoOrSize(text)) => {
            let text = SizeText(text.clone());
            let range = ByteSize::mib(8)..=MAX_BYTES;
            FunctionsMemory::Fixed(context.size(Some(&text), *range.start(), range, key))
        }
    }
}
