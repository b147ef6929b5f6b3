//! The marks with which the sides of a pair find each other (`docs/FORMAT.md`, *`pair`*).
//!
//! A side that joins writes a mark first. It ignores everything until the other side answers that mark. So
//! the messages between two marks are from one partner to one partner, whichever of them dies when.

/// A mark, as it is in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    /// The number of the side that wrote it.
    pub(crate) from: u64,
    /// The number of the side that it answers; 0: its writer has joined.
    pub(crate) to: u64,
}

impl Mark {
    /// The bytes of a mark in memory.
    pub(crate) const SIZE: u64 = 16;

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        (((self.to as u128) << 64) | self.from as u128).to_le_bytes()
    }

    #[allow(clippy::cast_possible_truncation, reason = "each is half of the bytes")]
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { from: both as u64, to: (both >> 64) as u64 }
    }
}

/// The state of a side with regard to the other one. Numbers of sides are random; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Handshake {
    /// The number of this side.
    pub(crate) own: u64,
    /// No mark that answers this side's own was read yet. Until then, the ring has what is for others.
    pub(crate) is_joining: bool,
    /// The partner whose messages are next in the ring.
    pub(crate) partner: u64,
    /// The side to which an answer is to be written. A later one takes its place: the earlier one is dead.
    pub(crate) due: u64,
    /// The side to which the last answer was written.
    pub(crate) answered: u64,
}

impl Handshake {
    pub(crate) const fn new(own: u64) -> Self {
        Self { own, is_joining: true, partner: 0, due: 0, answered: 0 }
    }

    /// Returns whether `mark`, which is next in the ring, is the next partner's, so that the one before has
    /// ended. The mark then stays where it is until that was noted.
    pub(crate) const fn ends_partner(&self, mark: Mark) -> bool {
        mark.to == 0 && mark.from != 0 && self.partner != 0 && mark.from != self.partner
    }

    /// Takes note that the partner has ended, and all of its messages were received.
    pub(crate) const fn end_partner(&mut self) {
        (self.partner, self.due) = (0, 0);
    }

    /// Takes note that `mark` was taken out of the ring. Returns whether its writer has become the partner.
    pub(crate) const fn pass(&mut self, mark: Mark) -> bool {
        let is_answer = self.is_joining && mark.to == self.own;
        let has_joined = mark.to == 0 && mark.from != self.partner;
        // No side has the number 0.
        if mark.from == 0 || !is_answer && !has_joined {
            return false;
        }
        // The writer of an answer may need one, too: the side before this one may have died before it wrote
        // its own.
        self.due = if mark.from == self.answered { 0 } else { mark.from };
        if self.is_joining && !is_answer {
            return false;
        }
        self.is_joining = false;
        self.partner = mark.from;
        true
    }

    /// Returns the answer that is to be written.
    pub(crate) const fn answer(&self) -> Option<Mark> {
        if self.due == 0 { None } else { Some(Mark { from: self.own, to: self.due }) }
    }

    /// Takes note that the answer was written.
    pub(crate) const fn note_answer(&mut self) {
        (self.answered, self.due) = (self.due, 0);
    }

    /// Returns the partner for whom messages may be written; 0 if there is none, or it has no answer yet.
    pub(crate) const fn open(&self) -> u64 {
        if self.partner == self.answered { self.partner } else { 0 }
    }
}
