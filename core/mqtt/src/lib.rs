//! MQTT 3.1.1 and 5: bytes to packets and back; one session as a machine.
