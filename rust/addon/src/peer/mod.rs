//! `SharedMemoryPeer`: two programs talk.

mod packets;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use godot::builtin::{StringName, Variant};
use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::layout::native::{BUFFER_SIZES, Event, Peer};
use shm_segment::{Backend, Scope};

use crate::args::{name_in, number_to, signed};
use crate::binding::{Class, Definition, EngineText, Enum, EnumArg, ErrorCode, ScriptEnum, This, methods};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{self, Fallible, LastError};
use crate::messages::{Outgoing, Received};
use crate::reservation::Reservation;
use crate::shared_memory::enums::LOCAL_SCOPE;
use crate::unicode::engine_text;
use crate::waiting;

pub(crate) struct SharedMemoryPeer {
    this: This,
    peer: AtomicOption<Peer>,
    /// Set while the object has a peer, or is about to.
    is_occupied: AtomicBool,
    was_open: AtomicBool,
    last_error: LastError,
}

/// The status, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Closed,
    Waiting,
    Connected,
}

impl ScriptEnum for Status {
    const NAME: &'static str = "SharedMemoryPeer.Status";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("STATUS_CLOSED", 0, Self::Closed),
        ("STATUS_WAITING", 1, Self::Waiting),
        ("STATUS_CONNECTED", 2, Self::Connected),
    ];
}

/// The default size of a buffer, for each direction.
const BUFFER_SIZE: i64 = 1 << 20;

const CONNECTED: &str = "connected";
const DISCONNECTED: &str = "disconnected";
const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryPeer {
    const NAME: &'static str = "SharedMemoryPeer";
    const PARENT: &'static str = "PacketPeerExtension";

    fn new(this: This) -> Self {
        Self {
            this,
            peer: AtomicOption::default(),
            is_occupied: AtomicBool::default(),
            was_open: AtomicBool::default(),
            last_error: LastError::default(),
        }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Status>();
        class.plain_signal(CONNECTED);
        class.plain_signal(DISCONNECTED);
        class.signal::<Variant>(MESSAGE_RECEIVED, "value");
        methods!(class, Self {
            fn open(
                name: StringName, buffer_size: i64 = BUFFER_SIZE, scope: Enum<Scope> = LOCAL_SCOPE
            ) -> ErrorCode;
            fn close();
            fn wait_connected(timeout_msec: i64) -> ErrorCode;
            fn send(value: Variant, timeout_msec: i64 = 0) -> ErrorCode;
            fn receive(timeout_msec: i64 = 0) -> Variant;
            fn request(value: Variant, timeout_msec: i64) -> Variant;
            fn wait(timeout_msec: i64) -> ErrorCode;
            fn poll() -> ErrorCode;
            const fn get_status() -> Enum<Status>;
            const fn get_name() -> StringName;
            const fn get_available_bytes() -> i64;
            const fn get_max_message_size() -> i64;
            const fn get_late_answer_count() -> i64;
        });
        packets::define(class);
        last_error::define(class);
    }
}

impl Fallible for SharedMemoryPeer {
    fn last_error(&self) -> &LastError {
        &self.last_error
    }
}

impl SharedMemoryPeer {
    fn open(&self, name: EngineText<'_>, buffer_size: i64, scope: EnumArg<Scope>) -> ErrorCode {
        let Some(reservation) = Reservation::take(&self.is_occupied) else {
            let message = "this object is open already; call close() first, or use another object";
            return code_of(self.remember(Err(Failure::new(Code::ERR_ALREADY_IN_USE, message))));
        };
        let open = || {
            let name = name_in(Backend::Native, &name)?;
            let limits = [BUFFER_SIZES.start(), BUFFER_SIZES.end()].map(|limit| u32::try_from(*limit));
            let (least, most) = (limits[0].unwrap_or(0), limits[1].unwrap_or(u32::MAX));
            let buffer_size = number_to("buffer_size", buffer_size, least, most)?;
            Ok(Peer::open(&name, buffer_size.into(), constant("scope", &scope)?)?)
        };
        let opened = open().map(|peer| {
            reservation.keep();
            self.was_open.store(true, Ordering::Relaxed);
            self.peer.put(peer);
        });
        code_of(self.remember(opened))
    }

    fn close(&self) {
        // The last call in progress frees the memory.
        if self.peer.take(Peer::close).is_some() {
            self.is_occupied.store(false, Ordering::Release);
        }
    }

    /// Calls `work` with the peer, which lives until `work` returns.
    fn try_with_peer<T>(&self, work: impl FnOnce(&Peer) -> Result<T>) -> Result<T> {
        self.peer.with(|peer| {
            let not_open = || Failure::new(Code::ERR_UNCONFIGURED, "no peer is open; call open() first");
            let peer = peer.ok_or_else(not_open)?;
            work(peer).map_err(|failure| {
                // Closing is a way to end a wait, and not a mistake.
                let is_closed = failure.code() == Code::ERR_UNCONFIGURED;
                let closed = "the peer was closed during the call";
                if is_closed { Failure::new(Code::ERR_UNCONFIGURED, closed).unprinted() } else { failure }
            })
        })
    }

    fn with_peer<T>(&self, work: impl FnOnce(&Peer) -> Result<T>) -> Result<T, ErrorCode> {
        self.remember(self.try_with_peer(work))
    }

    /// Calls `work` as `with_peer` does, for a call that may wait.
    ///
    /// To close the object is the way to end such calls of other threads. It may come between two of them. So
    /// with a timeout, a call on an object that was open prints nothing.
    fn with_peer_waiting<T>(
        &self,
        timeout_msec: i64,
        work: impl FnOnce(&Peer, Duration) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        let result = self.try_with_peer(|peer| work(peer, waiting::timeout(timeout_msec)?));
        self.remember(result.map_err(|failure| {
            let is_ended = timeout_msec > 0
                && failure.code() == Code::ERR_UNCONFIGURED
                && self.was_open.load(Ordering::Relaxed);
            failure.unprinted_if(is_ended)
        }))
    }

    fn wait_connected(&self, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_peer_waiting(timeout_msec, |peer, timeout| {
            Ok(peer.wait_connected(timeout)?.for_what("partner", timeout)?)
        }))
    }

    fn send(&self, value: &Variant, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_peer_waiting(timeout_msec, |peer, timeout| {
            let message = Outgoing::of(value, peer.max_message_size()?)?;
            peer.send(&message.message(), timeout).map_err(|e| Failure::of_message("value", &e))
        }))
    }

    fn receive(&self, timeout_msec: i64) -> Variant {
        self.with_peer_waiting(timeout_msec, |peer, timeout| {
            peer.receive(timeout, Received::copy)?.into_value()
        })
        .unwrap_or_default()
    }

    fn request(&self, value: &Variant, timeout_msec: i64) -> Variant {
        self.with_peer_waiting(timeout_msec, |peer, timeout| {
            let message = Outgoing::of(value, peer.max_message_size()?)?;
            peer.request(&message.message(), timeout, Received::copy)?.into_value()
        })
        .unwrap_or_default()
    }

    fn wait(&self, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_peer_waiting(timeout_msec, |peer, timeout| {
            Ok(peer.wait(timeout)?.for_what("message", timeout)?)
        }))
    }

    fn poll(&self) -> ErrorCode {
        let _reference = self.this.reference();
        // Not until nothing is left: with a fast partner, that would never end. A partner that ends, and the
        // next one, come besides the messages.
        let count = match self.remember_quietly(self.try_with_peer(|peer| Ok(peer.count()?))) {
            Ok(count) => count.saturating_add(MAX_CHANGES),
            Err(code) => return code,
        };
        let mut has_emitted = false;
        for _ in 0..count {
            let event = self.remember_quietly(self.try_with_peer(|peer| {
                Ok(match peer.next_event(Received::copy)? {
                    None => None,
                    Some(Event::Connected) => Some((CONNECTED, None)),
                    Some(Event::Disconnected) => Some((DISCONNECTED, None)),
                    Some(Event::Message(message)) => Some((MESSAGE_RECEIVED, Some(message.into_value()?))),
                })
            }));
            match event {
                // Outside of the call above: a connected method may do anything, even close the peer.
                Ok(Some((signal, value))) => {
                    self.this.emit(signal, value.as_slice());
                    has_emitted = true;
                }
                Ok(None) => break,
                // A connected method has closed the peer.
                Err(ErrorCode(Code::ERR_UNCONFIGURED)) if has_emitted => {
                    self.clear_last_error();
                    break;
                }
                Err(code) => return code,
            }
        }
        ErrorCode(Code::OK)
    }
}

/// The number of changes of the partner that one `poll()` tells of, besides the messages.
const MAX_CHANGES: u64 = 4;

// Getters. They can't fail, and don't change the last error.
impl SharedMemoryPeer {
    fn query<T: Default, E>(&self, getter: impl FnOnce(&Peer) -> Result<T, E>) -> T {
        self.peer.with(|peer| peer.and_then(|peer| getter(peer).ok()).unwrap_or_default())
    }

    fn get_status(&self) -> Enum<Status> {
        Enum(self.peer.with(|peer| match peer.map(Peer::is_connected) {
            None => Status::Closed,
            Some(Ok(true)) => Status::Connected,
            Some(_) => Status::Waiting,
        }))
    }

    fn get_name(&self) -> StringName {
        self.query(|peer| Ok::<_, Failure>(StringName::from(&engine_text(peer.name()))))
    }

    fn get_available_bytes(&self) -> i64 {
        self.query(|peer| peer.available().map(signed))
    }

    fn get_max_message_size(&self) -> i64 {
        self.query(|peer| peer.max_message_size().map(signed))
    }

    fn get_late_answer_count(&self) -> i64 {
        self.query(|peer| peer.late_answers().map(signed))
    }
}
