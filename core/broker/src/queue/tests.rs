use proptest::prelude::*;

use super::*;

fn limits(max_messages: u32, max_bytes: u64, overflow: Overflow) -> QueueLimits {
    QueueLimits { max_messages, max_bytes: ByteSize(max_bytes), overflow }
}

fn all<T: Copy>(queue: &Queue<T>) -> Vec<T> {
    queue.iter().copied().collect()
}

/// Fills a queue with 1, 2 and 3, of 10 bytes each, pushes 4 of `bytes`, and checks the outcome.
fn check(limits: QueueLimits, bytes: usize, expect: Push<u8>, left: &[u8]) {
    let mut queue = Queue::new(limits);
    for item in 1..=3 {
        assert_eq!(queue.push(item, 10, Time::NEVER), Push::Queued);
    }
    assert_eq!(queue.push(4, bytes, Time::NEVER), expect, "{limits:?}");
    assert_eq!(all(&queue), left, "{limits:?}");
    let kept = left.iter().map(|item| if *item == 4 { bytes as u64 } else { 10 }).sum();
    assert_eq!((queue.len(), queue.bytes()), (left.len(), ByteSize(kept)));
}

#[test]
fn the_oldest_make_room_when_the_owner_chose_so() {
    let by_count = limits(3, 1_000, Overflow::DropOldest);
    check(by_count, 10, Push::QueuedDropping(vec![1]), &[2, 3, 4]);
    check(by_count, 1_000, Push::QueuedDropping(vec![1, 2, 3]), &[4]);
    check(by_count, 1_001, Push::Dropped(4), &[1, 2, 3]);
    let by_bytes = limits(9, 30, Overflow::DropOldest);
    check(by_bytes, 0, Push::Queued, &[1, 2, 3, 4]);
    check(by_bytes, 11, Push::QueuedDropping(vec![1, 2]), &[3, 4]);
}

#[test]
fn the_new_one_is_dropped_or_given_back_when_the_owner_chose_so() {
    for (overflow, outcome) in
        [(Overflow::DropNewest, Push::Dropped(4)), (Overflow::Refuse, Push::Refused(4))]
    {
        check(limits(3, 1_000, overflow), 1, outcome.clone(), &[1, 2, 3]);
        check(limits(4, 1_000, overflow), 1, Push::Queued, &[1, 2, 3, 4]);
        check(limits(9, 40, overflow), 11, outcome, &[1, 2, 3]);
        check(limits(9, 40, overflow), 10, Push::Queued, &[1, 2, 3, 4]);
    }
}

#[test]
fn a_queue_of_no_messages_takes_none() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Refuse] {
        let mut queue = Queue::new(limits(0, 1_000, overflow));
        assert!(matches!(queue.push(1, 0, Time::NEVER), Push::Dropped(1) | Push::Refused(1)));
        assert!(queue.is_empty());
    }
}

#[test]
fn an_empty_queue_is_small_and_holds_no_memory() {
    let mut queue = Queue::new(QueueLimits::default());
    println!("an empty queue takes {} bytes", size_of::<Queue<u64>>());
    assert!(size_of::<Queue<u64>>() <= 80);
    assert_eq!(queue.entries.capacity(), 0);
    for item in 0..1_000u64 {
        assert_eq!(queue.push(item, 1, Time::NEVER), Push::Queued);
    }
    (0..900).for_each(|item| assert_eq!(queue.pop(Time(0), &mut Vec::new()), Some(item)));
    assert!(queue.entries.capacity() <= 600, "{}", queue.entries.capacity());
    queue.remove_where(|_| true, &mut Vec::new());
    assert_eq!(queue.entries.capacity(), 0);
}

#[test]
fn expired_messages_are_passed_over_and_handed_out() {
    let mut queue = Queue::new(QueueLimits::default());
    for (item, end) in [(1, 10), (2, 50), (3, 11), (4, 10)] {
        assert_eq!(queue.push(item, 1, Time(end)), Push::Queued);
    }
    let mut dropped = Vec::new();
    assert_eq!(queue.pop(Time(10), &mut dropped), Some(2));
    assert_eq!(dropped, [1]);
    assert_eq!(queue.pop(Time(11), &mut dropped), None);
    assert_eq!(dropped, [1, 3, 4]);
    assert_eq!(queue.bytes(), ByteSize(0));
}

#[test]
fn searches_for_expired_messages_are_asked_for_at_most_once_in_their_period() {
    let mut queue = Queue::new(QueueLimits::default());
    let start = Time::from_millis(5_000);
    let at = |millis| start + Duration::from_millis(millis);
    assert_eq!(queue.next_expiry(), None);
    for item in 0..10 {
        assert_eq!(queue.push(item, 1, at(item * 100)), Push::Queued);
    }
    let mut dropped = Vec::new();
    assert_eq!(queue.next_expiry(), Some(start));
    queue.expire(start, &mut dropped);
    assert_eq!((&dropped[..], queue.next_expiry()), (&[0][..], Some(at(1_000))));
    assert_eq!(queue.push(10, 1, at(1)), Push::Queued);
    assert_eq!(queue.next_expiry(), Some(at(1_000)));
    queue.expire(at(1_000), &mut dropped);
    assert_eq!((dropped, queue.next_expiry()), ((0..=10).collect(), None));
}

#[test]
fn expired_messages_leave_also_between_two_periods() {
    let mut queue = Queue::new(QueueLimits::default());
    let mut dropped = Vec::new();
    for (item, end) in [(1, 10), (2, 30), (3, 20)] {
        assert_eq!(queue.push(item, 1, Time(end)), Push::Queued);
    }
    for (now, expect) in [(9, &[][..]), (10, &[1]), (19, &[1]), (20, &[1, 3]), (30, &[1, 3, 2])] {
        queue.expire(Time(now), &mut dropped);
        assert_eq!(dropped, expect, "at {now}");
    }
}

#[test]
fn a_drained_queue_is_empty_and_can_be_filled_again() {
    let mut queue = Queue::new(limits(2, 20, Overflow::Refuse));
    for item in 1..=2 {
        assert_eq!(queue.push(item, 10, Time(5)), Push::Queued);
    }
    assert_eq!(queue.drain().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((queue.len(), queue.bytes(), queue.next_expiry()), (0, ByteSize(0), None));
    assert_eq!(queue.push(3, 20, Time::NEVER), Push::Queued);
}

#[test]
fn what_could_not_be_delivered_is_first_again_and_not_lost_to_the_limits() {
    let mut queue = Queue::new(limits(2, 1_000, Overflow::DropNewest));
    assert_eq!(queue.push(1, 10, Time::NEVER), Push::Queued);
    assert_eq!(queue.push(2, 10, Time::NEVER), Push::Queued);
    assert_eq!(queue.pop(Time(0), &mut Vec::new()), Some(1));
    assert_eq!(queue.push(3, 10, Time::NEVER), Push::Queued);
    queue.push_front(1, 10, Time::NEVER);
    assert_eq!((all(&queue), queue.bytes()), (vec![1, 2, 3], ByteSize(30)));
    assert_eq!(queue.push(4, 10, Time::NEVER), Push::Dropped(4));
}

#[test]
fn narrower_limits_hold_from_the_next_push_on() {
    let mut queue = Queue::new(QueueLimits::default());
    (0..5).for_each(|item| assert_eq!(queue.push(item, 10, Time::NEVER), Push::Queued));
    queue.set_limits(limits(2, 1_000, Overflow::DropOldest));
    assert_eq!(queue.len(), 5);
    assert_eq!(queue.push(5, 10, Time::NEVER), Push::QueuedDropping(vec![0, 1, 2, 3]));
    assert_eq!(all(&queue), [4, 5]);
}

#[derive(Clone, Debug)]
enum Step {
    Push { bytes: usize, life: Option<u64> },
    Pop,
    PopAndPutBack,
    Remove { rest: u32 },
    Expire,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..40usize, prop::option::of(0..3_000u64))
            .prop_map(|(bytes, life)| Step::Push { bytes, life }),
        3 => Just(Step::Pop),
        1 => Just(Step::PopAndPutBack),
        1 => (0..5u32).prop_map(|rest| Step::Remove { rest }),
        2 => Just(Step::Expire),
        2 => (0..1_500u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

/// One message of the model: number, bytes, expiry.
type Waiting = (u32, usize, Time);

fn has_room(model: &[Waiting], limits: QueueLimits, bytes: usize) -> bool {
    let used: usize = model.iter().map(|(_, bytes, _)| bytes).sum();
    model.len() < limits.max_messages as usize && (used + bytes) as u64 <= limits.max_bytes.0
}

fn push_to(model: &mut Vec<Waiting>, limits: QueueLimits, new: Waiting) -> Push<u32> {
    let mut dropped = Vec::new();
    match limits.overflow {
        Overflow::DropNewest if !has_room(model, limits, new.1) => return Push::Dropped(new.0),
        Overflow::Refuse if !has_room(model, limits, new.1) => return Push::Refused(new.0),
        Overflow::DropOldest if !has_room(&[], limits, new.1) => return Push::Dropped(new.0),
        _ => {}
    }
    while !has_room(model, limits, new.1) {
        dropped.push(model.remove(0).0);
    }
    model.push(new);
    if dropped.is_empty() { Push::Queued } else { Push::QueuedDropping(dropped) }
}

fn pop_from(model: &mut Vec<Waiting>, now: Time) -> (Option<Waiting>, Vec<u32>) {
    let live = model.iter().position(|(.., end)| *end > now);
    let mut taken: Vec<_> = model.drain(..live.map_or(model.len(), |at| at + 1)).collect();
    let first = live.and_then(|_| taken.pop());
    (first, taken.into_iter().map(|(item, ..)| item).collect())
}

fn overflows() -> impl Strategy<Value = Overflow> {
    prop::sample::select(vec![Overflow::DropOldest, Overflow::DropNewest, Overflow::Refuse])
}

proptest! {
    #[test]
    fn a_queue_behaves_as_a_list_with_limits(
        steps in steps(), overflow in overflows(), max_messages in 0..12u32, max_bytes in 0..150u64,
    ) {
        let limits = limits(max_messages, max_bytes, overflow);
        let (mut queue, mut model) = (Queue::new(limits), Vec::new());
        let mut now = Time::from_millis(1_000_000);
        for (item, step) in (0..).zip(steps) {
            let mut dropped = Vec::new();
            match step {
                Step::Push { bytes, life } => {
                    let end = life.map_or(Time::NEVER, |millis| now + Duration::from_millis(millis));
                    let expect = push_to(&mut model, limits, (item, bytes, end));
                    prop_assert_eq!(queue.push(item, bytes, end), expect);
                }
                Step::Pop => {
                    let (first, passed) = pop_from(&mut model, now);
                    prop_assert_eq!(queue.pop(now, &mut dropped), first.map(|(item, ..)| item));
                    prop_assert_eq!(dropped, passed);
                }
                Step::PopAndPutBack => {
                    if let (Some(first), _) = pop_from(&mut model, now) {
                        prop_assert_eq!(queue.pop(now, &mut dropped), Some(first.0));
                        queue.push_front(first.0, first.1, first.2);
                        model.insert(0, first);
                    } else {
                        prop_assert_eq!(queue.pop(now, &mut dropped), None);
                    }
                }
                Step::Remove { rest } => {
                    queue.remove_where(|item| item % 5 == rest, &mut dropped);
                    let gone = model.extract_if(.., |(item, ..)| *item % 5 == rest);
                    prop_assert_eq!(dropped, gone.map(|(item, ..)| item).collect::<Vec<_>>());
                }
                Step::Expire => {
                    queue.expire(now, &mut dropped);
                    let gone = model.extract_if(.., |(.., end)| *end <= now);
                    prop_assert_eq!(dropped, gone.map(|(item, ..)| item).collect::<Vec<_>>());
                }
                Step::Wait(millis) => now += Duration::from_millis(millis),
            }
            prop_assert_eq!(all(&queue), model.iter().map(|(item, ..)| *item).collect::<Vec<_>>());
            let bytes: usize = model.iter().map(|(_, bytes, _)| bytes).sum();
            prop_assert_eq!(queue.bytes(), ByteSize(bytes as u64));
            prop_assert!(queue.len() <= max_messages as usize && bytes as u64 <= max_bytes);
            let soonest = model.iter().map(|(.., end)| *end).min().unwrap_or(Time::NEVER);
            let latest = soonest.max(now + Queue::<u32>::EXPIRY_SEARCH_PERIOD);
            if soonest != Time::NEVER {
                prop_assert!(queue.next_expiry().is_some_and(|when| when <= latest));
            }
        }
    }
}
