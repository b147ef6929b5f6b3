//! Two processes in lockstep: one asks, and waits for the answer of the other. `./build.sh bench` starts
//! both, beside the same pair over TCP, and beside pairs in C: `tests/partner/ring.c` without sleeping, and
//! `tests/partner/futex.c` asleep.
//!
//! ```text
//! lockstep answer NAME THINKING       answers the requests of the peer NAME, each after so many microseconds
//! lockstep poll NAME POLLED           prints a line, and answers; looks for the first POLLED ones without sleeping
//! lockstep ask NAME ROUNDS PAUSE      asks, after a pause of so many microseconds; prints the nanoseconds to each answer
//! lockstep tcp-answer THINKING        prints its port, and answers what the first connection sends
//! lockstep tcp-ask PORT ROUNDS PAUSE  asks there
//! ```
//!
//! A question has 64 bytes, and so has the answer. A question that begins with 0 is the last one. A pair that
//! is slow asks less: it ends after half a second, unless there are pauses.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a benchmark may")]

use std::hint::spin_loop;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use shm_segment::Scope;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Kind, Message, Peer};

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_millis(500);

type Question = [u8; 64];

trait Connection {
    fn request(&mut self, question: &Question) -> Question;
    fn receive(&mut self) -> Question;
    fn send(&mut self, answer: &Question);
}

impl Connection for Peer {
    fn request(&mut self, question: &Question) -> Question {
        let mut answer = [0; 64];
        Self::request::<_, Error>(self, &bytes(question), PATIENCE, |message| message.read(0, &mut answer))
            .unwrap();
        answer
    }

    fn receive(&mut self) -> Question {
        let mut question = [0; 64];
        Self::receive::<_, Error>(self, PATIENCE, |message| message.read(0, &mut question)).unwrap();
        question
    }

    fn send(&mut self, answer: &Question) {
        Self::send(self, &bytes(answer), PATIENCE).unwrap();
    }
}

/// A peer that doesn't sleep until so many messages have come.
struct Polling(Peer, u32);

impl Connection for Polling {
    fn request(&mut self, question: &Question) -> Question {
        Connection::request(&mut self.0, question)
    }

    fn receive(&mut self) -> Question {
        if self.1 == 0 {
            return Connection::receive(&mut self.0);
        }
        self.1 -= 1;
        let mut question = [0; 64];
        let start = Instant::now();
        for tries in 1_u32.. {
            match self.0.receive(Duration::ZERO, |message| message.read(0, &mut question)) {
                Ok(()) => break,
                Err(Error::Empty) if tries.is_multiple_of(1000) => {
                    assert!(start.elapsed() < PATIENCE, "nobody asks");
                    yield_now();
                }
                Err(Error::Empty) => spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
        question
    }

    fn send(&mut self, answer: &Question) {
        Connection::send(&mut self.0, answer);
    }
}

impl Connection for TcpStream {
    fn request(&mut self, question: &Question) -> Question {
        self.send(question);
        self.receive()
    }

    fn receive(&mut self) -> Question {
        let mut question = [0; 64];
        self.read_exact(&mut question).unwrap();
        question
    }

    fn send(&mut self, answer: &Question) {
        self.write_all(answer).unwrap();
    }
}

fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn open(name: &str) -> Peer {
    Peer::open(name, 1 << 16, Scope::Local).unwrap()
}

fn connected(peer: Peer) -> Peer {
    // Not with `wait_connected`, whose failed spin would keep the next waits from spinning.
    let start = Instant::now();
    while !peer.is_connected().unwrap() {
        assert!(start.elapsed() < PATIENCE, "there is no partner");
        sleep(Duration::from_millis(1));
    }
    peer
}

fn over_tcp(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn number_in(question: &Question) -> u32 {
    u32::from_le_bytes(*question.first_chunk().unwrap())
}

fn answer(mut connection: impl Connection, thinking: &str) {
    let thinking = Duration::from_micros(thinking.parse().unwrap());
    loop {
        let question = connection.receive();
        if !thinking.is_zero() {
            sleep(thinking);
        }
        connection.send(&question);
        if number_in(&question) == 0 {
            return;
        }
    }
}

fn ask(mut connection: impl Connection, rounds: &str, pause: &str) {
    let pause = Duration::from_micros(pause.parse().unwrap());
    let mut question = [7; 64];
    // Printed at the end: a call of the system in each round would cool the caches down.
    let mut times = String::new();
    let first = Instant::now();
    for round in 1..=rounds.parse::<u32>().unwrap() {
        if !pause.is_zero() {
            sleep(pause);
        } else if first.elapsed() > LONGEST {
            break;
        }
        question[..4].copy_from_slice(&round.to_le_bytes());
        let start = Instant::now();
        let answer = connection.request(&question);
        times += &format!("{}\n", start.elapsed().as_nanos());
        assert_eq!(answer, question);
    }
    connection.request(&[0; 64]);
    print!("{times}");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["answer", name, thinking] => answer(connected(open(name)), thinking),
        ["poll", name, polled] => {
            let peer = open(name);
            println!("open");
            answer(Polling(connected(peer), polled.parse().unwrap()), "0");
        }
        ["ask", name, rounds, pause] => ask(connected(open(name)), rounds, pause),
        ["tcp-answer", thinking] => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            println!("{}", listener.local_addr().unwrap().port());
            answer(over_tcp(listener.accept().unwrap().0), thinking);
        }
        ["tcp-ask", port, rounds, pause] => {
            let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
            ask(over_tcp(stream), rounds, pause);
        }
        _ => {}
    }
}
