//! The Godot classes. See `binding` for how they reach the engine, and `doc_classes/` for what users read.

mod array;
mod attachment;
mod binding;
mod error;
mod last_error;
mod queue;
mod script_values;
mod shared_memory;
mod stream;
mod unicode;
mod variant_codec;

use godot::init::{EditorRunBehavior, ExtensionLibrary, InitStage, gdextension};

use array::SharedMemoryArray;
use queue::SharedMemoryQueue;
use shared_memory::SharedMemory;
use stream::SharedMemoryStream;

struct Extension;

/// Shown in the editor when the user presses F1. Checked against the classes by a test.
const HELP: [&str; 4] = [
    include_str!("../doc_classes/SharedMemory.xml"),
    include_str!("../doc_classes/SharedMemoryArray.xml"),
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
            }
            InitStage::Editor => HELP.into_iter().for_each(binding::load_help),
            _ => {}
        }
    }

    fn on_stage_deinit(stage: InitStage) {
        if stage == InitStage::Scene {
            binding::unregister::<SharedMemoryArray>();
            binding::unregister::<SharedMemoryQueue>();
            binding::unregister::<SharedMemoryStream>();
            binding::unregister::<SharedMemory>();
            // Every object is gone, and this library's code may be next.
            shm_segment::uninstall_fault_handler();
        }
    }
}
