//! A will, in both directions.

use bytes::Bytes;
use tomte_base::TopicName;

use super::BadRecord;
use super::fields::{Reader, Writer};
use crate::wills::Will;

impl Writer<'_> {
    pub(super) fn will(&mut self, will: &Will) {
        self.bytes(will.topic.as_bytes());
        self.bytes(&will.payload);
        self.u8(will.qos as u8 | u8::from(will.retain) << 2);
        self.u32(will.delay_s);
        self.option(will.expiry_s.map(u32::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
        self.properties(will.properties.as_deref());
    }
}

impl Reader<'_> {
    pub(super) fn will(&mut self) -> Result<Will, BadRecord> {
        let topic = self.parsed("topic", TopicName::new)?;
        let payload = Bytes::copy_from_slice(self.bytes("payload")?);
        let (qos, retain, _) = self.way_bits()?;
        let delay_s = self.u32("will delay")?;
        let expiry_s = self.option("expiry", |r| {
            let bytes = r.bytes("expiry")?.try_into().map_err(|_| r.bad("expiry"))?;
            Ok(u32::from_le_bytes(bytes))
        })?;
        let properties = self.option("properties", Self::properties)?.map(Box::new);
        Ok(Will { topic, payload, qos, retain, delay_s, expiry_s, properties })
    }
}
