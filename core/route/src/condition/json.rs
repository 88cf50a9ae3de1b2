use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde_json::{Number, Value};

use super::{EvaluationError, MAX_JSON_BYTES};

/// Bytes of text that count as one value when work is measured.
const BYTES_PER_UNIT: usize = 64;

/// Greatest whole number up to which a double holds every whole number.
const MAX_EXACT_DOUBLE: u64 = 1 << 53;

/// A payload as the value of an expression.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) value: Box<dyn Val>,
    /// How many values it holds, long texts counted as several.
    pub(super) width: u64,
}

impl Json {
    pub(super) fn parse(payload: &[u8]) -> Result<Self, EvaluationError> {
        if payload.len() > MAX_JSON_BYTES {
            return Err(EvaluationError::PayloadTooLarge { length: payload.len() });
        }
        let json: Value = serde_json::from_slice(payload)
            .map_err(|error| EvaluationError::NotJson { reason: error.to_string() })?;
        let mut width = 0;
        let value = convert(json, &mut width);
        Ok(Self { value, width })
    }
}

/// Returns the units of work that a text of `length` bytes stands for.
pub(crate) fn text_width(length: usize) -> u64 {
    1 + u64::try_from(length / BYTES_PER_UNIT).unwrap_or(u64::MAX)
}

fn convert(json: Value, width: &mut u64) -> Box<dyn Val> {
    *width += 1;
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(value)),
        Value::Number(number) => convert_number(&number),
        Value::String(text) => {
            *width += text_width(text.len());
            Box::new(CelString::from(text))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.into_iter().map(|item| convert(item, width)).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(entries) => {
            let mut map: HashMap<CelMapKey<'static>, Box<dyn Val>> =
                HashMap::with_capacity(entries.len());
            for (key, value) in entries {
                *width += text_width(key.len());
                map.insert(CelMapKey::from(key), convert(value, width));
            }
            Box::new(CelMap::from(map))
        }
    }
}

/// Whole numbers become doubles like all others unless that would change them.
fn convert_number(number: &Number) -> Box<dyn Val> {
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) if value.unsigned_abs() > MAX_EXACT_DOUBLE => {
            Box::new(CelInt::from(value))
        }
        (None, Some(value)) => Box::new(CelUInt::from(value)),
        _ => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
    }
}
