//! Our codec beside `rmqtt-codec`.

use tomte_mqtt::codec::frame_len;

use crate::beside_rmqtt::unknown_difference;
use crate::codec::frame_of;

/// Lets both codecs read one frame; the input is that of [`codec`](crate::codec()).
pub fn differential(data: &[u8]) {
    let (version, frame) = frame_of(data);
    // They wait for more where a frame is longer than it is, and take the first of two.
    if frame_len(&frame, u32::MAX) == Ok(Some(frame.len())) {
        assert_eq!(unknown_difference(version, &frame), None, "{version:?} {frame:02x?}");
    }
}
