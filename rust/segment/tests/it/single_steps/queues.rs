//! Single steps of queues. `docs/FORMAT.md` alone is the source of the offsets here.

use std::cell::OnceCell;
use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::Queue;
use shm_segment::{Access, Options, Segment};

use super::letters::{Letter, Raw, u32_at, u64_at};
use super::stepper::step;
use crate::common::Name;

const INCARNATION: usize = 0x18;
const WANTED: usize = 0x80;
const LANES: usize = 0x100;
/// Offsets in a lane.
const HEAD: usize = 0x80;
const ROOM_WANTED: usize = 0x88;
const RING: usize = 0x100;
/// The offset of the counts in each of both lines.
const COUNTS: usize = 0x10;
const PADDING: u32 = u32::MAX;

const NOW: Duration = Duration::ZERO;
/// The number of lanes. The consumer serves the second one, too.
const COUNT: usize = 2;

/// The operation that is run in single steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation {
    /// By the producer that has put in the messages before.
    Enqueue,
    /// By another one, which takes the role first.
    TakeOverAndEnqueue,
    /// There is no room, so that the producer asks to be woken.
    EnqueueAndWait,
    Dequeue,
    TakeOverAndDequeue,
    /// There is no message, so that the consumer asks to be woken.
    DequeueAndWait,
    Clear,
    Peek,
    LayOut,
    Reset,
    Release,
    /// A producer as the format describes it, written here, perhaps with a fault.
    Put(Fault),
    /// A consumer in the same way.
    Taken(Fault),
}

/// The fault of a producer or consumer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    PublishesBeforeTheContent,
    PublishesBeforeTheCount,
    StoresTheCountInTheWrongPair,
    LeavesOutThePadding,
    IgnoresTheHead,
    DoesNotWake,
}

impl Fault {
    pub(super) const OF_PRODUCER: [Self; 6] = [
        Self::PublishesBeforeTheContent,
        Self::PublishesBeforeTheCount,
        Self::StoresTheCountInTheWrongPair,
        Self::LeavesOutThePadding,
        Self::IgnoresTheHead,
        Self::DoesNotWake,
    ];
    pub(super) const OF_CONSUMER: [Self; 3] =
        [Self::PublishesBeforeTheCount, Self::StoresTheCountInTheWrongPair, Self::DoesNotWake];
}

/// A queue before an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) ring: usize,
    /// The position of the first lane's first message.
    pub(super) position: u64,
    /// The number of messages before that.
    pub(super) taken: u64,
    /// The lengths of the messages that wait in the first lane.
    pub(super) waiting: &'static [usize],
    /// The length of the message that is put in.
    pub(super) length: usize,
}

/// A lane, as an independent program finds it.
#[derive(Debug, PartialEq)]
struct Lane {
    letters: Vec<Raw>,
    put: u64,
    taken: u64,
}

impl Case {
    const fn lane(&self, lane: usize) -> usize {
        LANES + lane * (RING + self.ring)
    }

    const fn size(&self) -> usize {
        self.lane(COUNT)
    }

    fn waiting(&self) -> Vec<Letter> {
        self.waiting.iter().zip(1..).map(|(length, number)| Letter::new(number, *length)).collect()
    }

    fn next(&self) -> Letter {
        Letter::new(self.waiting.len() as u64 + 1, self.length)
    }

    fn attach(&self, segment: &Segment) -> Queue {
        Queue::attach(segment, self.ring as u64, COUNT as u32).unwrap()
    }

    /// Returns the messages of a lane.
    fn read(&self, bytes: &[u8], lane: usize) -> Lane {
        let lane = &bytes[self.lane(lane)..][..RING + self.ring];
        let (tail, mut head) = (u64_at(lane, 0), u64_at(lane, HEAD));
        assert!(head <= tail && tail - head <= self.ring as u64, "{head} to {tail}");
        let count = |line: usize, position: u64| {
            let mut pairs = [0, 16].into_iter().map(|pair| line + COUNTS + pair);
            let pair = pairs.find(|pair| u64_at(lane, *pair) == position);
            u64_at(lane, pair.expect("there is a count of the position") + 8)
        };
        let (put, taken) = (count(0, tail), count(HEAD, head));
        let mut letters = Vec::new();
        while head != tail {
            let offset = (head % self.ring as u64) as usize;
            let left = self.ring - offset;
            let record = &lane[RING + offset..];
            if u32_at(record, 0) == PADDING {
                head += left as u64;
                assert!(head < tail, "a record follows the padding");
                continue;
            }
            let (size, tag) = (u32_at(record, 0) as usize, u32_at(record, 4));
            let need = 8 + size.next_multiple_of(8);
            assert!(need as u64 <= tail - head && need <= left, "a record of {size} bytes");
            let has_shape = matches!(tag & 0xFF, 3 | 4);
            let (shape, content) = record[8..8 + size].split_at(if has_shape { 16 } else { 0 });
            letters.push((tag, shape.to_vec(), content.to_vec()));
            head += need as u64;
        }
        assert_eq!(put - taken, letters.len() as u64, "the counts");
        Lane { letters, put, taken }
    }

    /// Makes both lanes begin 8 bytes before the position.
    fn move_lanes(&self, segment: &Segment) {
        let before = (self.position - 8, self.taken - 1);
        for lane in (0..COUNT).map(|lane| self.lane(lane)) {
            for line in [lane, lane + HEAD] {
                segment.store_u64(line as u64, before.0).unwrap();
                for pair in 0..2 {
                    // One of the pairs is that of an older position.
                    let older = (before.1 + pair) % 2;
                    let at = (line + COUNTS + pair as usize * 16) as u64;
                    segment.store_u64(at, before.0.wrapping_sub(8 * older)).unwrap();
                    segment.store_u64(at + 8, before.1.wrapping_sub(older)).unwrap();
                }
            }
        }
    }

    /// Runs the operation, and checks after each step. Returns the number of steps, and that of the different
    /// states of the memory.
    pub(super) fn run(&self) -> (u64, u64) {
        let name = Name::new();
        let ours = Options::new(&name).create(self.size() as u64).unwrap();
        let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        let view = Options::new(&name).open(0, Access::ReadOnly).unwrap();
        let mut operation: Box<dyn FnOnce() + '_> = Box::new(|| drop(self.attach(&ours)));
        if self.operation != Operation::LayOut {
            operation = self.prepare(&ours, &theirs, &view);
        }
        let (mut now, mut last) = (vec![0; self.size()], Vec::new());
        ours.read(0, &mut now).unwrap();
        let start = now.clone();
        let scratch = Scratch::new(self);
        let (mut states, mut moved) = (0, 0);
        let steps = step(operation, drop, |_| {
            ours.read(0, &mut now).unwrap();
            if now != last {
                last.clone_from(&now);
                states += 1;
                moved = scratch.check(&now, moved);
            }
        });
        let expected = match self.operation {
            Operation::Enqueue | Operation::TakeOverAndEnqueue | Operation::Put(_) => 1,
            Operation::Dequeue | Operation::TakeOverAndDequeue | Operation::Taken(_) => 1,
            Operation::Clear | Operation::Reset => self.waiting.len() as u64,
            _ => 0,
        };
        assert_eq!(moved, expected, "the operation has done nothing");
        let lane = self.lane(0);
        for (wanted, is_woken) in
            [(WANTED, self.puts_in() && expected > 0), (lane + ROOM_WANTED, self.takes_out() && expected > 0)]
        {
            if is_woken && u32_at(&start, wanted) != 0 {
                assert_eq!(u32_at(&last, wanted), 0);
                assert_eq!(u32_at(&last, wanted + 4), u32_at(&start, wanted + 4) + 1, "a sleeper is woken");
            }
        }
        (steps, states)
    }

    const fn puts_in(&self) -> bool {
        matches!(self.operation, Operation::Enqueue | Operation::TakeOverAndEnqueue | Operation::Put(_))
    }

    const fn takes_out(&self) -> bool {
        matches!(
            self.operation,
            Operation::Dequeue | Operation::TakeOverAndDequeue | Operation::Taken(_) | Operation::Clear
        )
    }

    fn prepare<'a>(
        &'a self,
        ours: &'a Segment,
        theirs: &'a Segment,
        view: &'a Segment,
    ) -> Box<dyn FnOnce() + 'a> {
        let (producer, consumer) = (self.attach(ours), self.attach(theirs));
        self.move_lanes(ours);
        // Takes 8 bytes of the lane, and gives the producer its role.
        producer.enqueue(ours, &Letter::new(3, 0).message(), NOW, || true).unwrap();
        consumer.dequeue(theirs, NOW, || true, Letter::of).unwrap();
        consumer.release(theirs);
        for letter in self.waiting() {
            producer.enqueue(ours, &letter.message(), NOW, || true).unwrap();
        }
        let next = self.next();
        let enqueue = move |producer: &Queue, timeout: Duration| {
            producer.enqueue(ours, &next.message(), timeout, || true)
        };
        let first = self.waiting().first().map(Letter::as_read);
        let dequeue = move |consumer: &Queue| {
            let taken = consumer.dequeue(theirs, NOW, || true, Letter::of).unwrap();
            assert_eq!(Some(taken), first);
        };
        let wait = |consumer: &Queue, timeout: Duration| {
            let waited = consumer.dequeue(theirs, timeout, || true, Letter::of);
            assert!(matches!(waited, Err(Error::WaitTimedOut { .. })), "{waited:?}");
        };
        // The other side is asleep, for all that this one knows. The fence before the consumer's wake may be
        // left out while there are more messages, but the word is looked at.
        if self.puts_in() {
            ours.store_u32(WANTED as u64, 1).unwrap();
        }
        if self.takes_out() {
            ours.store_u32((self.lane(0) + ROOM_WANTED) as u64, 1).unwrap();
        }
        match self.operation {
            Operation::Enqueue => Box::new(move || enqueue(&producer, NOW).unwrap()),
            Operation::TakeOverAndEnqueue => {
                producer.release(ours);
                Box::new(move || enqueue(&producer, NOW).unwrap())
            }
            Operation::EnqueueAndWait => {
                // There is no spinning in the single steps: it has failed here.
                let _ = enqueue(&producer, Duration::from_micros(20));
                Box::new(move || {
                    let waited = enqueue(&producer, Duration::from_millis(1));
                    assert!(matches!(waited, Err(Error::WaitTimedOut { .. })), "{waited:?}");
                })
            }
            Operation::Dequeue => {
                // The role is taken by a call that changes nothing.
                let _ = consumer.wait(theirs, NOW, || true);
                Box::new(move || dequeue(&consumer))
            }
            Operation::TakeOverAndDequeue => Box::new(move || dequeue(&consumer)),
            Operation::DequeueAndWait => {
                let _ = consumer.wait(theirs, Duration::from_micros(20), || true);
                Box::new(move || wait(&consumer, Duration::from_millis(1)))
            }
            Operation::Clear => Box::new(move || consumer.clear(theirs).unwrap()),
            Operation::Peek => {
                let reader = Queue::attach(view, 0, 1).unwrap();
                Box::new(move || {
                    let first = self.waiting().first().map(Letter::as_read);
                    assert_eq!(reader.peek(view, Letter::of).ok(), first);
                    assert_eq!(reader.filled(view).unwrap().messages, self.waiting.len() as u64);
                })
            }
            Operation::Reset => {
                producer.release(ours);
                Box::new(move || producer.reset(ours).unwrap())
            }
            Operation::Release => {
                let _ = consumer.wait(theirs, NOW, || true);
                Box::new(move || {
                    producer.release(ours);
                    consumer.release(theirs);
                })
            }
            Operation::Put(fault) => Box::new(move || self.put_by_hand(ours, fault)),
            Operation::Taken(fault) => Box::new(move || self.take_by_hand(ours, fault)),
            Operation::LayOut => unreachable!(),
        }
    }

    /// Puts the next message in, with the stores in the order that the fault tells.
    fn put_by_hand(&self, segment: &Segment, fault: Fault) {
        let letter = self.next();
        let lane = self.lane(0);
        let store = |at: usize, value: u64| segment.store_u64((lane + at) as u64, value).unwrap();
        let load = |at: usize| segment.load_u64((lane + at) as u64).unwrap();
        let shape = if letter.has_shape() { letter.shape_bytes() } else { Vec::new() };
        let size = shape.len() + letter.content.len();
        let record =
            [&(size as u32).to_le_bytes()[..], &letter.tag.to_le_bytes(), &shape, &letter.content].concat();
        let (tail, head, ring) = (load(0), load(HEAD), self.ring as u64);
        let (need, left) = (8 + size.next_multiple_of(8) as u64, ring - tail % ring);
        let padding = if need > left && fault != Fault::LeavesOutThePadding { left } else { 0 };
        let end = tail + padding + need;
        assert!(fault == Fault::IgnoresTheHead || end - head <= ring, "there is room");
        let count = self.taken + self.waiting.len() as u64 + 1;
        let pair = if fault == Fault::StoresTheCountInTheWrongPair { count + 1 } else { count };
        let pair = COUNTS + pair as usize % 2 * 16;
        if fault == Fault::PublishesBeforeTheContent {
            store(pair, end);
            store(pair + 8, count);
            store(0, end);
        }
        if padding != 0 {
            segment.write((lane + RING) as u64 + tail % ring, &PADDING.to_le_bytes()).unwrap();
        }
        // Without padding, the record would go beyond the ring.
        let at = (tail + padding) % ring;
        let record = &record[..record.len().min((ring - at) as usize)];
        segment.write((lane + RING) as u64 + at, record).unwrap();
        if fault == Fault::PublishesBeforeTheCount {
            store(0, end);
        }
        store(pair, end);
        store(pair + 8, count);
        store(0, end);
        if fault != Fault::DoesNotWake {
            segment.store_u32(WANTED as u64, 0).unwrap();
            segment.fetch_add_u32(WANTED as u64 + 4, 1).unwrap();
        }
    }

    /// Takes the first message out in the same way. It has no padding before it.
    fn take_by_hand(&self, segment: &Segment, fault: Fault) {
        let lane = self.lane(0);
        let store = |at: usize, value: u64| segment.store_u64((lane + at) as u64, value).unwrap();
        let head = segment.load_u64((lane + HEAD) as u64).unwrap();
        let at = (lane + RING) as u64 + head % self.ring as u64;
        let end = head + 8 + u64::from(segment.load_u32(at).unwrap()).next_multiple_of(8);
        let count = self.taken + 1;
        let pair = if fault == Fault::StoresTheCountInTheWrongPair { count + 1 } else { count };
        let pair = HEAD + COUNTS + pair as usize % 2 * 16;
        if fault == Fault::PublishesBeforeTheCount {
            store(HEAD, end);
        }
        store(pair, end);
        store(pair + 8, count);
        store(HEAD, end);
        if fault != Fault::DoesNotWake {
            segment.store_u32((lane + ROOM_WANTED) as u64, 0).unwrap();
            segment.fetch_add_u32((lane + ROOM_WANTED) as u64 + 4, 1).unwrap();
        }
    }
}

/// Memory of its own for copies, and the processes that go on there.
struct Scratch<'a> {
    case: &'a Case,
    bytes: std::cell::RefCell<Vec<u8>>,
    producers: [Segment; COUNT],
    consumer: Segment,
    view: Segment,
    /// A program without a role, which was there before the operation.
    looker: OnceCell<Queue>,
    _name: Name,
}

impl<'a> Scratch<'a> {
    fn new(case: &'a Case) -> Self {
        let name = Name::new();
        let created = Options::new(&name).create(case.size() as u64).unwrap();
        let open = |access| Options::new(&name).open(0, access).unwrap();
        Self {
            producers: [created, open(Access::ReadWrite)],
            consumer: open(Access::ReadWrite),
            view: open(Access::ReadOnly),
            bytes: Vec::new().into(),
            looker: OnceCell::new(),
            case,
            _name: name,
        }
    }

    /// Checks a copy of the memory. `before` is the number of messages that had gone in or out in the copy
    /// before. Returns how many there are in this one.
    fn check(&self, bytes: &[u8], before: u64) -> u64 {
        let case = self.case;
        let first = &self.producers[0];
        first.write(0, bytes).unwrap();
        if case.operation != Operation::LayOut {
            let looker = self.looker.get_or_init(|| Queue::attach(&self.view, 0, 1).unwrap());
            let is_resetting = u64_at(bytes, INCARNATION) == 0;
            for error in [looker.filled(&self.view).err(), looker.peek(&self.view, Letter::of).err()] {
                match error {
                    None | Some(Error::Empty) => {}
                    Some(Error::NotLaidOutYet { .. }) if is_resetting => {}
                    Some(error) => panic!("{error}"),
                }
            }
        }
        // Finishes what another process has begun.
        let producers = [case.attach(first), case.attach(&self.producers[1])];
        let mut all = self.bytes.borrow_mut();
        all.resize(bytes.len(), 0);
        first.read(0, &mut all).unwrap();
        let (is_laying_out, is_reset) =
            (case.operation == Operation::LayOut, case.operation == Operation::Reset);
        let is_unfinished = u32_at(bytes, 0) == 0 || u64_at(bytes, INCARNATION) == 0;
        assert!(!is_unfinished || is_laying_out || is_reset);
        assert!(is_unfinished || all[..] == *bytes, "an attachment changes nothing");

        let (found, waiting) = (case.read(&all, 0), case.waiting());
        let (mut put, mut taken) = (case.taken + waiting.len() as u64, case.taken);
        let (moved, expected) = if is_laying_out || (is_reset && found.put == 0) {
            let all = if is_reset { put - taken } else { 0 };
            (put, taken) = (0, 0);
            (all, Vec::new())
        } else if case.puts_in() {
            let moved = found.put - put;
            put += moved;
            let letters = [&waiting[..], &[case.next()]].concat();
            (moved, letters[..waiting.len() + moved as usize].to_vec())
        } else {
            let moved = found.taken - taken;
            assert!(moved == 0 || case.takes_out());
            taken += moved;
            (moved, waiting[moved as usize..].to_vec())
        };
        assert_eq!(found, Lane { letters: expected.iter().map(Letter::raw).collect(), put, taken });
        assert!(moved >= before, "a message comes back");
        self.goes_on(&producers, &all, expected);
        moved
    }

    /// Puts messages in and takes them out, as processes do that were started again.
    fn goes_on(&self, producers: &[Queue; COUNT], bytes: &[u8], mut expected: Vec<Letter>) {
        let (case, lane) = (self.case, self.case.lane(0));
        let reader = Queue::attach(&self.view, 0, 1).unwrap();
        assert_eq!(reader.peek(&self.view, Letter::of).ok(), expected.first().map(Letter::as_read));
        let consumer = Queue::attach(&self.consumer, 0, 1).unwrap();
        let mut now = vec![0; bytes.len()];

        // Once more than fits at once, so that the positions go around.
        let longest = case.ring / 2 - 24;
        for round in 0..4 {
            let mut number = 100 * (round + 1);
            loop {
                let letter = Letter::new(number, (number as usize * 13) % (longest + 1));
                match producers[0].enqueue(&self.producers[0], &letter.message(), NOW, || true) {
                    Ok(()) => expected.push(letter),
                    Err(Error::NoRoom) => break,
                    Err(Error::TooLarge { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                self.consumer.read(0, &mut now).unwrap();
                if round == 0 && u32_at(bytes, WANTED) != 0 {
                    assert_eq!(u32_at(&now, WANTED), 0);
                    assert_eq!(u32_at(&now, WANTED + 4), u32_at(bytes, WANTED + 4) + 1, "a sleeper is woken");
                }
                number += 1;
            }
            let second = Letter::new(7, 3);
            producers[1].enqueue(&self.producers[1], &second.message(), NOW, || true).unwrap();
            let filled = reader.filled(&self.view).unwrap();
            assert_eq!(filled.messages, expected.len() as u64 + 1);

            let mut all = Vec::new();
            while let Ok(taken) = consumer.dequeue(&self.consumer, NOW, || true, Letter::of) {
                all.push(taken);
            }
            // The lanes are served in turn.
            let at = all.iter().position(|taken| *taken == second.as_read()).expect("the second lane's");
            assert!(at <= 1);
            all.remove(at);
            assert_eq!(all, expected.iter().map(Letter::as_read).collect::<Vec<_>>());
            assert_eq!(reader.filled(&self.view).unwrap().messages, 0);
            self.consumer.read(0, &mut now).unwrap();
            let wanted = lane + ROOM_WANTED;
            if round == 0 && u32_at(bytes, wanted) != 0 {
                assert_eq!(u32_at(&now, wanted), 0);
                assert_eq!(u32_at(&now, wanted + 4), u32_at(bytes, wanted + 4) + 1, "a sleeper is woken");
            }
            expected.clear();
        }
        consumer.release(&self.consumer);
        for (producer, segment) in producers.iter().zip(&self.producers) {
            producer.release(segment);
        }
    }
}
