//! The Godot classes. `binding` connects them to the engine; `doc_classes/` has the help that users read.

mod args;
mod array;
mod attachment;
mod binding;
mod error;
mod last_error;
mod messages;
mod mutex;
mod peer;
mod queue;
mod reservation;
mod room;
mod script_values;
mod shared_memory;
mod stream;
mod struct_memory;
mod struct_values;
mod unicode;
mod variant_codec;
mod variant_size;
mod waiting;

use godot::init::{EditorRunBehavior, ExtensionLibrary, InitStage, gdextension};

use array::SharedMemoryArray;
use mutex::SharedMemoryMutex;
use peer::SharedMemoryPeer;
use queue::SharedMemoryQueue;
use shared_memory::SharedMemory;
use stream::SharedMemoryStream;

struct Extension;

/// The pages that the editor shows on F1. A test compares them with the classes.
const HELP: [&str; 6] = [
    include_str!("../doc_classes/SharedMemory.xml"),
    include_str!("../doc_classes/SharedMemoryArray.xml"),
    include_str!("../doc_classes/SharedMemoryMutex.xml"),
    include_str!("../doc_classes/SharedMemoryPeer.xml"),
    include_str!("../doc_classes/SharedMemoryQueue.xml"),
    include_str!("../doc_classes/SharedMemoryStream.xml"),
];

// SAFETY: the trait is unsafe because loading a library is; there is no other obligation.
#[gdextension(entry_symbol = godot_shared_memory_init)]
unsafe impl ExtensionLibrary for Extension {
    fn editor_run_behavior() -> EditorRunBehavior {
        EditorRunBehavior::AllClasses
    }

    fn on_stage_init(stage: InitStage) {
        match stage {
            InitStage::Scene => {
                binding::register::<SharedMemory>();
                binding::register::<SharedMemoryStream>();
                binding::register::<SharedMemoryQueue>();
                binding::register::<SharedMemoryArray>();
                binding::register::<SharedMemoryMutex>();
                binding::register::<SharedMemoryPeer>();
            }
            InitStage::Editor => HELP.into_iter().for_each(binding::load_help),
            _ => {}
        }
    }

    fn on_stage_deinit(stage: InitStage) {
        if stage == InitStage::Scene {
            binding::unregister::<SharedMemoryPeer>();
            binding::unregister::<SharedMemoryMutex>();
            binding::unregister::<SharedMemoryArray>();
            binding::unregister::<SharedMemoryQueue>();
            binding::unregister::<SharedMemoryStream>();
            binding::unregister::<SharedMemory>();
            // The engine may unload this library next, with the handler's code. Only objects that the engine
            // itself keeps are left, as metadata of a singleton. It frees them later.
            shm_segment::uninstall_fault_handler();
        }
    }
}
