//! The Godot classes. See `class` for how they reach the engine, and `doc_classes/` for what users read.

mod class;
mod error;
mod shared_memory;

use godot::init::{EditorRunBehavior, ExtensionLibrary, InitStage, gdextension};

use shared_memory::SharedMemory;

struct Extension;

/// Shown in the editor when the user presses F1. Checked against the classes by a test.
const HELP: &str = include_str!("../doc_classes/SharedMemory.xml");

// SAFETY: the trait is unsafe because loading a library is; there is no other obligation.
#[gdextension(entry_symbol = godot_shared_memory_init)]
unsafe impl ExtensionLibrary for Extension {
    fn editor_run_behavior() -> EditorRunBehavior {
        EditorRunBehavior::AllClasses
    }

    fn on_stage_init(stage: InitStage) {
        match stage {
            InitStage::Scene => class::register::<SharedMemory>(),
            InitStage::Editor => class::load_help(HELP),
            _ => {}
        }
    }

    fn on_stage_deinit(stage: InitStage) {
        if stage == InitStage::Scene {
            class::unregister::<SharedMemory>();
            // Every object is gone, and this library's code may be next.
            shm_segment::uninstall_fault_handler();
        }
    }
}
