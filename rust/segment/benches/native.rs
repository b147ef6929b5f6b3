//! Two processes that exchange messages through the native layouts. `./build.sh bench` starts both, beside
//! the same pair in C: `tests/partner/ring.c` for the throughput, `tests/partner/futex.c` for round trips,
//! `tests/partner/lock.c` for locks.
//!
//! ```text
//! native produce NAME COUNT SIZE   puts COUNT messages of SIZE bytes in, and prints the nanoseconds it took
//! native consume NAME COUNT SIZE   takes them out
//! native answer NAME ROUNDS        answers each message of the queue NAME-q in the queue NAME-a
//! native ask NAME ROUNDS PAUSE     asks, after a pause of so many microseconds; prints the nanoseconds to each answer
//! native frame ROUNDS              prints the nanoseconds of a picture through a stream, and of two memcpy, per line
//! native write NAME                writes one message, says so, and sleeps
//! native lock ROUNDS               prints the nanoseconds that it takes to lock and unlock so many times
//! native wait NAME                 says so, waits for the writer's end, and prints the time of the monotonic clock
//! ```
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a benchmark may")]

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Kind, Lock, Message, Queue, Stream};
use shm_segment::{Access, Options, Scope, Segment};

const PATIENCE: Duration = Duration::from_secs(10);
/// The ring in C has the same.
const RING: u64 = 65536;
/// The bytes of a question, and of an answer.
const QUESTION: usize = 64;

fn open(name: &str) -> Segment {
    Options::new(name).open(0, Access::ReadWrite).unwrap()
}

fn queue(segment: &Segment) -> Queue {
    Queue::attach(segment, RING, 1).unwrap()
}

fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn send(queue: &Queue, segment: &Segment, content: &[u8]) {
    queue.enqueue(segment, &bytes(content), PATIENCE, || true).unwrap();
}

fn receive(queue: &Queue, segment: &Segment, into: &mut [u8]) {
    queue.dequeue(segment, PATIENCE, || true, |message| message.read(0, into)).unwrap();
}

fn produce(name: &str, count: u64, size: usize) {
    let segment = open(name);
    let queue = queue(&segment);
    let mut content = vec![1; size];
    // The consumer is there.
    while !queue.has_consumer(&segment).unwrap() {
        thread::yield_now();
    }
    let start = Instant::now();
    for number in 0..count {
        content[..8].copy_from_slice(&number.to_le_bytes());
        let mut tries = 0_u32;
        // Without sleeping, as the ring in C.
        while let Err(error) = queue.enqueue(&segment, &bytes(&content), Duration::ZERO, || true) {
            assert!(matches!(error, Error::NoRoom), "{error}");
            pause(&mut tries);
        }
    }
    let mut tries = 0;
    while queue.filled(&segment).unwrap().bytes > 0 {
        pause(&mut tries);
    }
    println!("{}", start.elapsed().as_nanos());
}

fn consume(name: &str, count: u64, size: usize) {
    let segment = open(name);
    let queue = queue(&segment);
    let mut content = vec![0; size];
    let mut tries = 0_u32;
    let mut number = 0;
    let start = Instant::now();
    while number < count {
        assert!(!tries.is_multiple_of(1000) || start.elapsed() < 10 * PATIENCE, "the producer has ended");
        match queue.dequeue(&segment, Duration::ZERO, || true, |message| message.read(0, &mut content)) {
            Ok(()) => {
                assert_eq!(content[..8], number.to_le_bytes());
                number += 1;
            }
            Err(Error::Empty) => pause(&mut tries),
            Err(error) => panic!("{error}"),
        }
    }
}

fn pause(tries: &mut u32) {
    *tries += 1;
    if tries.is_multiple_of(1000) { thread::yield_now() } else { std::hint::spin_loop() }
}

fn answer(name: &str, rounds: u32) {
    let (asked, answered) = (open(&format!("{name}-q")), open(&format!("{name}-a")));
    let (questions, answers) = (queue(&asked), queue(&answered));
    let mut content = [0; QUESTION];
    for _ in 0..rounds {
        receive(&questions, &asked, &mut content);
        send(&answers, &answered, &content);
    }
}

fn ask(name: &str, rounds: u32, pause: Duration) {
    let (asked, answered) = (open(&format!("{name}-q")), open(&format!("{name}-a")));
    let (questions, answers) = (queue(&asked), queue(&answered));
    let mut content = [0; QUESTION];
    // Printed at the end: a call of the system in each round would cool the caches down.
    let mut times = String::new();
    for round in 1..=rounds {
        thread::sleep(pause);
        content[..4].copy_from_slice(&round.to_le_bytes());
        let start = Instant::now();
        send(&questions, &asked, &content);
        receive(&answers, &answered, &mut content);
        times += &format!("{}\n", start.elapsed().as_nanos());
    }
    print!("{times}");
}

fn frame(rounds: u32) {
    const READERS: u32 = 2;
    const SLOTS: usize = READERS as usize + 2;
    let size = 1920 * 1080 * 4;
    let name = shm_segment::generate_name("bench").unwrap();
    let segment = Options::new(&name).create(40 << 20).unwrap();
    let stream = Stream::attach(&segment, size as u64, READERS).unwrap();
    let (picture, mut shown) = (vec![3; size], vec![0; size]);
    // Mapped memory as well, of as many slots.
    let slots =
        Options::new(&shm_segment::generate_name("bench").unwrap()).create((SLOTS * size) as u64).unwrap();
    for round in 0..rounds + 10 {
        let mut times = [Duration::ZERO; 2];
        // In turn, as the second one finds the picture in the caches.
        for way in [round % 2, (round + 1) % 2] {
            let start = Instant::now();
            if way == 0 {
                stream.write(&segment, &bytes(&picture)).unwrap();
                stream.read(&segment, |message| message.read(0, &mut shown)).unwrap();
            } else {
                let slot = (round as usize % SLOTS * size) as u64;
                slots.write(slot, &picture).unwrap();
                slots.read(slot, &mut shown).unwrap();
            }
            times[way as usize] = start.elapsed();
        }
        if round >= 10 {
            println!("{} {}", times[0].as_nanos(), times[1].as_nanos());
        }
    }
}

fn lock(rounds: u32) {
    let name = shm_segment::generate_name("bench").unwrap();
    let lock = Lock::open(&name, 0, Scope::Local).unwrap();
    let start = Instant::now();
    for _ in 0..rounds {
        lock.lock(Duration::ZERO).unwrap();
        lock.unlock().unwrap();
    }
    println!("{}", start.elapsed().as_nanos());
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["produce", name, count, size] => produce(name, count.parse().unwrap(), size.parse().unwrap()),
        ["consume", name, count, size] => consume(name, count.parse().unwrap(), size.parse().unwrap()),
        ["answer", name, rounds] => answer(name, rounds.parse().unwrap()),
        ["ask", name, rounds, pause] => {
            ask(name, rounds.parse().unwrap(), Duration::from_micros(pause.parse().unwrap()));
        }
        ["frame", rounds] => frame(rounds.parse().unwrap()),
        ["lock", rounds] => lock(rounds.parse().unwrap()),
        ["write", name] => {
            let segment = open(name);
            Stream::attach(&segment, 1024, 2).unwrap().write(&segment, &bytes(b"there")).unwrap();
            say("written");
            // The stream must live: its role ends with it. So the segment is never dropped.
            thread::sleep(PATIENCE);
        }
        ["wait", name] => {
            let segment = open(name);
            let stream = Stream::attach(&segment, 0, 0).unwrap();
            stream.read(&segment, |_| Ok::<_, Error>(())).unwrap();
            say("waiting");
            let ended = loop {
                match stream.wait(&segment, PATIENCE, || true) {
                    Err(Error::PartnerGone { .. }) => break Instant::now(),
                    Ok(_) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            say(&format!("{ended:?}"));
        }
        _ => {}
    }
}
