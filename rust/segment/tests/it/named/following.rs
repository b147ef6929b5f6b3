//! Objects that follow a name.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::{LONGEST, dequeue, enqueue, kill, message};
use crate::common::Name;
use shm_segment::layout::native::{self, Follower, Holder, Named, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Cause, Options, Segment};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(20);
/// A look comes within 100 ms, also in a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// An object that follows a name.
pub struct Object<L> {
    open: Mutex<Option<Arc<(Segment, L)>>>,
    pub follower: Follower<L>,
}

impl<L> Holder<L> for Object<L> {
    type Left = Option<Arc<(Segment, L)>>;

    fn with_open<R>(&self, work: impl Fn(Option<(&Segment, &L)>) -> R) -> R {
        work(self.memory().as_deref().map(|(segment, layout)| (segment, layout)))
    }

    fn put(&self, found: Option<(Segment, L)>) -> (Self::Left, Result<(), String>) {
        (std::mem::replace(&mut *self.open.lock().unwrap(), found.map(Arc::new)), Ok(()))
    }
}

impl<L> Default for Object<L> {
    fn default() -> Self {
        Self { open: Mutex::default(), follower: Follower::default() }
    }
}

impl<L> Object<L> {
    /// Returns an object that follows no name.
    pub fn with(made: (Segment, L)) -> Self {
        Self { open: Mutex::new(Some(Arc::new(made))), ..Self::default() }
    }

    pub fn follow(&self) {
        self.follower.follow(self);
    }

    /// Returns the memory of the moment.
    pub fn memory(&self) -> Option<Arc<(Segment, L)>> {
        self.open.lock().unwrap().clone()
    }
}

impl<L: Named> Object<L> {
    pub fn open_by(name: &str) -> Self {
        let (name, found) = native::Name::open(name).unwrap();
        let object = Self { open: Mutex::new(found.map(Arc::new)), ..Self::default() };
        object.follower.change(Some(name), || ());
        object
    }

    fn close(&self) {
        let left = self.follower.change(None, || self.put(None).0);
        drop(left);
    }

    /// Looks until the memory is as `is_right` says.
    fn follow_until(&self, is_right: impl Fn(Option<&(Segment, L)>) -> bool) {
        let start = Instant::now();
        while !is_right(self.memory().as_deref()) {
            assert!(start.elapsed() < SOON, "{:?}", self.follower.no_memory());
            self.follow();
            sleep(Duration::from_millis(1));
        }
    }

    /// Waits as a binding does.
    fn wait<T>(
        &self,
        timeout: Duration,
        work: impl Fn(&(Segment, L), Duration, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T> {
        let attempt = |rest, used: &Cell<_>| {
            self.follow();
            let open = self.memory().ok_or(Error::LeftOver)?;
            used.set(Some(open.0.id()));
            let is_wanted = || {
                self.follow();
                self.memory().is_some_and(|now| Arc::ptr_eq(&now, &open))
            };
            work(&open, rest, &is_wanted)
        };
        let end = || (!self.follower.is_following()).then_some(Error::Stopped);
        self.follower.wait(self, timeout, attempt, end)
    }
}

impl Object<Queue> {
    fn dequeue(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.wait(timeout, |(segment, queue), rest, is_wanted| {
            queue.dequeue(segment, rest, is_wanted, |message| message.to_vec())
        })
    }

    fn enqueue(&self, content: &[u8], timeout: Duration) -> Result<()> {
        self.wait(timeout, |(segment, queue), rest, is_wanted| {
            queue.enqueue(segment, &message(content), rest, is_wanted)
        })
    }
}

#[test]
fn object_finds_memory_that_is_made_later_and_tells_why_there_is_none() {
    let name = Name::new();
    let object = Object::<Queue>::open_by(&name);
    assert!(object.memory().is_none() && object.follower.is_following());
    let text = object.follower.no_memory().unwrap();
    assert!(text.contains(&*name) && text.contains("does not exist"), "{text}");
    let owner = Queue::create(&Options::new(&name), 1000, 1).unwrap();
    object.follow_until(|open| open.is_some());
    drop(owner);
    object.follow_until(|open| open.is_none());
    let other = Stream::create(&Options::new(&name), LONGEST, 2).unwrap();
    object.follow_until(|_| object.follower.no_memory().unwrap().contains("the number of the layout is 1"));
    drop(other);
    object.close();
    assert!(!object.follower.is_following() && !object.follower.is_due());
    assert_eq!(object.follower.no_memory(), None);
}

#[test]
fn name_that_no_look_can_mend_is_refused() {
    for name in ["", "a/b", ".."] {
        let refused = native::Name::<Queue>::open(name);
        assert!(matches!(refused, Err(shm_segment::Error::InvalidName { .. })), "{name:?}: {refused:?}");
    }
}

#[test]
fn look_is_due_after_an_interval_and_not_before() {
    let name = Name::new();
    // The interval begins after this, in the first look.
    let start = Instant::now();
    let object = Object::<Queue>::open_by(&name);
    while !object.follower.is_due() {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(1));
    }
    assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
    object.follow();
    assert!(!object.follower.is_due());
}

#[test]
fn wait_goes_on_where_the_name_leads() {
    let name = Name::new();
    let object = Object::<Queue>::open_by(&name);
    thread::scope(|scope| {
        // From no memory to one, and from one to the next.
        for size in [1000, 3000] {
            let waiting = scope.spawn(|| object.dequeue(LONG));
            sleep(Duration::from_millis(30));
            let first = Queue::create(&Options::new(&name), 1000, 1).unwrap();
            sleep(Duration::from_millis(150));
            drop(first);
            let second = Queue::create(&Options::new(&name), size, 1).unwrap();
            enqueue(&second, b"x");
            assert_eq!(waiting.join().unwrap().unwrap(), b"x", "{size}");
            object.close();
            let (again, found) = native::Name::open(&name).unwrap();
            object.follower.change(Some(again), || object.put(found)).1.unwrap();
        }
    });
}

#[test]
fn wait_without_memory_ends_in_time_or_with_the_object() {
    let object = Object::<Queue>::open_by(&Name::new());
    assert!(matches!(object.dequeue(Duration::ZERO), Err(Error::LeftOver)));
    let start = Instant::now();
    assert!(matches!(object.dequeue(Duration::from_millis(50)), Err(Error::LeftOver)));
    assert!(start.elapsed() >= Duration::from_millis(50) && start.elapsed() < SOON);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| object.dequeue(LONG));
        sleep(Duration::from_millis(30));
        object.close();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Stopped)));
    });
    assert!(start.elapsed() < LONG / 2);
}

/// A child of a fork inherits the lock of another thread. So a wait that is over there asks for none.
#[test]
fn wait_that_is_ended_uses_the_follower_no_more() {
    let object = Object::<Queue>::open_by(&Name::new());
    thread::scope(|scope| {
        object.follower.change(None, || {
            let ending = scope.spawn(|| {
                let attempt = |_, _: &Cell<_>| -> Result<()> { Err(Error::LeftOver) };
                object.follower.wait(&object, LONG, attempt, || Some(Error::Stopped))
            });
            assert!(matches!(ending.join().unwrap(), Err(Error::Stopped)));
        });
    });
}

#[test]
fn wait_without_a_name_ends_with_its_first_failure() {
    let name = Name::new();
    let object = Object::with(Queue::create(&Options::new(&name), 1000, 1).unwrap());
    for error in [Error::Stopped, Error::NameMoved, Error::PartnerGone { partner: "x" }] {
        let (given, calls) = (RefCell::new(Some(error)), Cell::new(0));
        let attempt = |_, _: &Cell<_>| -> Result<()> {
            calls.set(calls.get() + 1);
            Err(given.take().unwrap())
        };
        object.follower.wait(&object, LONG, attempt, || None).unwrap_err();
        assert_eq!(calls.get(), 1);
    }
}

/// A side that stays for old messages sends none. If it may wait, it does so once the name leads to memory.
#[test]
fn wait_to_send_goes_on_where_the_name_leads() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 1).unwrap();
    let object = Object::<Queue>::open_by(&name);
    enqueue(&owner, b"left");
    drop(owner);
    sleep(Duration::from_millis(150));
    assert!(matches!(object.enqueue(b"x", Duration::ZERO), Err(Error::NameMoved)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| object.enqueue(b"x", LONG));
        sleep(Duration::from_millis(30));
        let owner = Queue::create(&options, 1000, 1).unwrap();
        waiting.join().unwrap().unwrap();
        assert_eq!(dequeue(&owner).unwrap(), b"x");
    });
}

#[test]
fn wait_tells_of_a_partner_that_ended_unless_another_thread_has_moved_on() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 1).unwrap();
    let object = Object::<Queue>::open_by(&name);
    let gone = || Error::PartnerGone { partner: "the last producer" };
    let stays = object.wait(LONG, |_, _, _| -> Result<()> { Err(gone()) });
    assert!(matches!(stays, Err(Error::PartnerGone { .. })), "{stays:?}");
    drop(owner);
    let (_owner, tries) = (Queue::create(&options, 1000, 1).unwrap(), Cell::new(0));
    let moves = object.wait(LONG, |(segment, _), _, _| {
        tries.set(tries.get() + 1);
        if tries.get() > 1 {
            return Ok(());
        }
        // As another thread would.
        object.follow_until(|open| open.is_some_and(|open| open.0.id() != segment.id()));
        Err(gone())
    });
    assert!(moves.is_ok(), "{moves:?}");
    assert_eq!(tries.get(), 2);
}

/// Its role in the old memory ends in the same way as by its death. So no wait tells of that.
#[test]
fn producer_that_moves_along_has_not_ended() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 2).unwrap();
    let (producer, consumer) = (Object::<Queue>::open_by(&name), Object::<Queue>::open_by(&name));
    producer.enqueue(b"1", LONG).unwrap();
    assert_eq!(consumer.dequeue(LONG).unwrap(), b"1");
    // So that the wait notices the end of the role before it looks at the name.
    while !consumer.follower.is_due() {
        sleep(Duration::from_millis(1));
    }
    consumer.follow();
    drop(owner);
    let _owner = Queue::create(&options, 2000, 2).unwrap();
    assert!(producer.follower.looks_again_after(&Error::Stopped));
    producer.follow();
    assert_eq!(producer.memory().unwrap().1.capacity(), 4096);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| consumer.dequeue(LONG));
        // Longer than the consumer stays for others, and than each of its sleeps.
        sleep(Duration::from_millis(400));
        producer.enqueue(b"2", LONG).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), b"2");
    });
}

/// To move is no end of the object, also at the end of the time.
#[test]
fn wait_that_is_over_when_the_memory_moves_has_timed_out() {
    let name = Name::new();
    let _owner = Queue::create(&Options::new(&name), 1000, 1).unwrap();
    let (object, tries) = (Object::<Queue>::open_by(&name), Cell::new(0));
    let timeout = Duration::from_millis(10);
    let ends = object.wait(timeout, |(segment, queue), rest, is_wanted| {
        tries.set(tries.get() + 1);
        if tries.get() == 1 {
            sleep(timeout);
            return Err(Error::Stopped);
        }
        queue.dequeue(segment, rest, is_wanted, |message| message.to_vec())
    });
    assert!(matches!(ends, Err(Error::WaitTimedOut { .. })), "{ends:?}");
    assert_eq!(tries.get(), 2);
}

#[test]
fn memory_that_was_closed_or_lost_is_opened_again_by_the_next_call() {
    let name = Name::new();
    let _owner = Queue::create(&Options::new(&name), 1000, 1).unwrap();
    let object = Object::<Queue>::open_by(&name);
    let lost = Error::from(shm_segment::Error::PageLost { name: name.to_string() });
    assert_eq!(lost.cause(), Cause::Lost);
    for failure in [Error::Stopped, lost] {
        assert!(!object.follower.looks_again_after(&Error::Empty) && !object.follower.is_due());
        drop(object.open.lock().unwrap().take());
        assert!(object.follower.looks_again_after(&failure) && object.follower.is_due(), "{failure}");
        object.follow();
        assert!(object.memory().is_some(), "{failure}");
    }
    object.close();
    assert!(!object.follower.looks_again_after(&Error::Stopped));
}

/// An object whose memory calls it when it ends, as a script may do.
struct Calling {
    object: Object<Queue>,
    refuses: Cell<bool>,
    calls: Cell<u32>,
}

struct Call<'a>(&'a Calling);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        assert!(self.0.object.follower.is_following());
        self.0.object.follower.no_memory();
        self.0.calls.set(self.0.calls.get() + 1);
    }
}

impl<'a> Holder<Queue> for &'a Calling {
    type Left = Call<'a>;

    fn with_open<R>(&self, work: impl Fn(Option<(&Segment, &Queue)>) -> R) -> R {
        self.object.with_open(work)
    }

    fn put(&self, found: Option<(Segment, Queue)>) -> (Self::Left, Result<(), String>) {
        if self.refuses.get() {
            drop(self.object.put(None));
            return (Call(self), Err("there is no room for it".to_owned()));
        }
        (Call(self), self.object.put(found).1)
    }
}

#[test]
fn memory_that_is_left_may_call_the_object() {
    let name = Name::new();
    let object = Object::<Queue>::open_by(&name);
    let calling = Calling { object, refuses: Cell::new(true), calls: Cell::default() };
    let owner = Queue::create(&Options::new(&name), 1000, 1).unwrap();
    let start = Instant::now();
    while calling.calls.get() == 0 {
        assert!(start.elapsed() < SOON);
        calling.object.follower.follow(&&calling);
    }
    // The program could not hold it.
    let text = calling.object.follower.no_memory().unwrap();
    assert!(text.ends_with("there is no room for it"), "{text}");
    calling.refuses.set(false);
    while calling.object.memory().is_none() {
        assert!(start.elapsed() < SOON);
        calling.object.follower.follow(&&calling);
    }
    assert_eq!(calling.calls.get(), 2);
    kill(&name, owner);
    name.remove().unwrap();
}

#[test]
fn threads_that_follow_one_name_hold_each_other_up_for_no_look() {
    let name = Name::new();
    let object = Object::<Queue>::open_by(&name);
    let until = Instant::now() + Duration::from_millis(500);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while Instant::now() < until {
                    match object.dequeue(Duration::from_millis(5)) {
                        Ok(content) => assert_eq!(content, b"x"),
                        Err(error) => assert!(
                            matches!(
                                error.cause(),
                                Cause::Unavailable | Cause::Timeout | Cause::Connection | Cause::Closed
                            ),
                            "{error}"
                        ),
                    }
                }
            });
        }
        while Instant::now() < until {
            let owner = Queue::create(&Options::new(&name), 1000, 1).unwrap();
            enqueue(&owner, b"x");
            sleep(Duration::from_millis(3));
        }
    });
}
