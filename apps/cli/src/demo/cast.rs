//! Who takes part in the demo, and what the sensors measure.

use std::f64::consts::TAU;
use std::time::Duration;

/// A device of `examples/greenhouse`.
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
}

/// What a device does.
pub(crate) enum Part {
    Sensor(Sensor),
    Actuator { topic: &'static str },
}

/// A sensor whose readings go up and down.
pub(crate) struct Sensor {
    pub(crate) topic: &'static str,
    pub(crate) every: Duration,
    key: &'static str,
    middle: f64,
    swing: f64,
    /// Readings until the values repeat.
    period: u32,
}

/// All devices of the demo.
pub(crate) static CAST: [Role; 5] = [
    Role { name: "fan", part: Part::Actuator { topic: "actuators/fan" } },
    Role { name: "lamp", part: Part::Actuator { topic: "actuators/lamp" } },
    Role {
        name: "thermometer",
        part: Part::Sensor(Sensor {
            topic: "sensors/1/temperature",
            every: Duration::from_millis(400),
            key: "celsius",
            middle: 28.5,
            swing: 4.0,
            period: 24,
        }),
    },
    Role {
        name: "hygrometer",
        part: Part::Sensor(Sensor {
            topic: "sensors/1/humidity",
            every: Duration::from_millis(700),
            key: "percent",
            middle: 76.0,
            swing: 12.0,
            period: 17,
        }),
    },
    Role {
        name: "light-meter",
        part: Part::Sensor(Sensor {
            topic: "sensors/1/light",
            every: Duration::from_millis(600),
            key: "lux",
            middle: 14_000.0,
            swing: 9_000.0,
            period: 31,
        }),
    },
];

/// Returns the role of a device.
pub(crate) fn role(name: &str) -> Option<&'static Role> {
    CAST.iter().find(|role| role.name == name)
}

impl Sensor {
    /// Returns the payload of reading number `n`, named `id`.
    pub(crate) fn payload(&self, n: u32, id: &str) -> String {
        let phase = f64::from(n % self.period) / f64::from(self.period);
        let value = self.middle + self.swing * (phase * TAU).sin();
        // Whole numbers where tenths would be noise.
        let value = if self.swing > 100.0 { value.round() } else { (value * 10.0).round() / 10.0 };
        format!("{{\"{}\": {value}, \"reading\": \"{id}\"}}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Vec<f64> {
        let Some(Role { part: Part::Sensor(sensor), .. }) = role(name) else {
            panic!("{name} is no sensor")
        };
        let value = |n| {
            let payload = sensor.payload(n, "x-1");
            let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
            assert_eq!(payload["reading"], "x-1");
            payload[sensor.key].as_f64().unwrap()
        };
        (0..sensor.period).map(value).collect()
    }

    #[test]
    fn readings_lie_on_both_sides_of_the_conditions() {
        for (name, bound) in [("thermometer", 28.0), ("hygrometer", 80.0)] {
            let above = values(name).iter().filter(|value| **value > bound).count();
            assert!(above >= 5 && values(name).len() - above >= 5, "{name}: {above}");
        }
        assert!(values("light-meter").iter().all(|lux| *lux > 0.0));
    }

    #[test]
    fn every_sensor_speaks_at_least_once_a_second() {
        let slow = CAST.iter().filter(|role| match &role.part {
            Part::Sensor(sensor) => sensor.every > Duration::from_secs(1),
            Part::Actuator { .. } => false,
        });
        assert_eq!(slow.count(), 0);
    }
}
