/// Whether a member of a group can take a message at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is connected and its window has room.
    Ready,
    /// It is away or its window is full, and what it gets is kept until it can take it.
    Keeps,
    /// It is away or its window is full, and nothing is kept for it.
    Unable,
}

/// Who of a group gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<K> {
    /// This member, now.
    Deliver(K),
    /// No member can take it now; it waits for this one, which keeps messages.
    Queue(K),
    /// No member can take it or keep it.
    Nobody,
}

/// The members of a shared subscription: each message goes to one of them.
///
/// The members take turns. One that cannot take a message is passed over and loses its turn. When
/// none can, the message waits for one that keeps messages, and these take turns too.
///
/// Source: MQTT 5, section 4.8.2, which leaves the choice to the server.
#[derive(Clone, Debug)]
pub struct ShareGroup<K> {
    /// In the order of joining.
    members: Vec<K>,
    /// The place of the member whose turn is next.
    turn: usize,
}

impl<K> Default for ShareGroup<K> {
    fn default() -> Self {
        Self { members: Vec::new(), turn: 0 }
    }
}

impl<K: Copy + Eq> ShareGroup<K> {
    /// Makes a group without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member, last in turn. Returns whether it was none before.
    pub fn join(&mut self, member: K) -> bool {
        if self.members.contains(&member) {
            return false;
        }
        // Before the one whose turn is next: that is the end of the round.
        self.members.insert(self.turn, member);
        self.turn = (self.turn + 1) % self.members.len();
        true
    }

    /// Removes a member; nobody else loses a turn. Returns whether it was one.
    pub fn leave(&mut self, member: K) -> bool {
        let Some(place) = self.members.iter().position(|other| *other == member) else {
            return false;
        };
        self.members.remove(place);
        self.turn -= usize::from(place < self.turn);
        if self.turn == self.members.len() {
            self.turn = 0;
        }
        true
    }

    /// Returns the members.
    #[must_use]
    pub fn members(&self) -> &[K] {
        &self.members
    }

    /// Tells whether the group has no members, and can be forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Chooses who gets the next message. Asks each member at most once, from the one whose turn it
    /// is, until one is ready.
    pub fn choose(&mut self, mut readiness: impl FnMut(K) -> Readiness) -> Choice<K> {
        let mut keeper = None;
        for step in 0..self.members.len() {
            let place = (self.turn + step) % self.members.len();
            let member = self.members[place];
            match readiness(member) {
                Readiness::Ready => {
                    self.pass_turn(place);
                    return Choice::Deliver(member);
                }
                Readiness::Keeps => keeper = keeper.or(Some((place, member))),
                Readiness::Unable => {}
            }
        }
        let Some((place, member)) = keeper else { return Choice::Nobody };
        self.pass_turn(place);
        Choice::Queue(member)
    }

    fn pass_turn(&mut self, place: usize) {
        self.turn = (place + 1) % self.members.len();
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness::{Keeps, Ready, Unable};
    use super::*;

    fn group(members: usize) -> ShareGroup<usize> {
        let mut group = ShareGroup::new();
        (0..members).for_each(|member| assert!(group.join(member)));
        group
    }

    /// Checks whom a group chooses, message after message, while its members stay as they are.
    fn check(members: &[Readiness], expect: &[Choice<usize>]) {
        let mut group = group(members.len());
        let chosen: Vec<_> = expect.iter().map(|_| group.choose(|key| members[key])).collect();
        assert_eq!(chosen, expect, "{members:?}");
    }

    #[test]
    fn ready_members_take_turns() {
        use Choice::Deliver;
        check(&[Ready, Ready, Ready], &[Deliver(0), Deliver(1), Deliver(2), Deliver(0)]);
        check(&[Ready, Keeps, Ready, Unable], &[Deliver(0), Deliver(2), Deliver(0)]);
        check(&[Keeps, Keeps, Ready], &[Deliver(2), Deliver(2)]);
    }

    #[test]
    fn what_nobody_can_take_waits_for_members_that_keep_it() {
        use Choice::{Nobody, Queue};
        check(&[Unable, Keeps, Keeps], &[Queue(1), Queue(2), Queue(1)]);
        check(&[Unable, Unable], &[Nobody, Nobody]);
        check(&[], &[Nobody]);
    }

    #[test]
    fn a_member_that_leaves_takes_no_turn_from_others() {
        for leaving in 0..4 {
            let mut group = group(4);
            assert_eq!(group.choose(|_| Ready), Choice::Deliver(0));
            assert_eq!(group.choose(|_| Ready), Choice::Deliver(1));
            assert!(group.leave(leaving));
            assert!(!group.leave(leaving));
            let rest: Vec<_> = [2, 3, 0, 1].into_iter().filter(|n| *n != leaving).collect();
            for expect in rest.iter().chain(&rest) {
                assert_eq!(group.choose(|_| Ready), Choice::Deliver(*expect));
            }
        }
    }

    #[test]
    fn the_last_member_can_leave_and_another_join() {
        let mut group = group(2);
        assert_eq!(group.choose(|_| Ready), Choice::Deliver(0));
        assert!(group.leave(1) && group.leave(0) && group.is_empty());
        assert_eq!(group.choose(|_| Ready), Choice::Nobody);
        assert!(group.join(7) && !group.join(7));
        assert_eq!(group.members(), [7]);
        assert_eq!(group.choose(|_| Ready), Choice::Deliver(7));
    }

    #[test]
    fn a_new_member_is_last_in_turn() {
        let mut group = group(3);
        assert_eq!(group.choose(|_| Ready), Choice::Deliver(0));
        assert!(group.join(3));
        let order: Vec<_> = (0..5).map(|_| group.choose(|_| Ready)).collect();
        assert_eq!(order, [1, 2, 0, 3, 1].map(Choice::Deliver));
    }

    #[test]
    fn each_member_is_asked_at_most_once() {
        let mut group = group(5);
        let mut asked = Vec::new();
        let chosen = group.choose(|member| {
            asked.push(member);
            if member == 3 { Ready } else { Keeps }
        });
        assert_eq!((chosen, asked), (Choice::Deliver(3), vec![0, 1, 2, 3]));
    }
}
