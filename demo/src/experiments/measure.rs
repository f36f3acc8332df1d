// SPDX-License-Identifier: MIT OR Apache-2.0
//! One step, one measurement.

use std::fmt::Write;

use anyhow::{ensure, Result};
use pagelens::layout::{from_proc, Layout};
use pagelens::PAGE_SIZE;
use workloads::{layout_of, Workload};

/// The address space after a step.
pub struct Sample {
    /// The step in words.
    pub step: String,
    /// How deep it recursed, in calls.
    pub depth: u64,
    /// What `app` answered: bytes in live blocks, or the stack that a recursion took.
    pub answer: u64,
    /// What the module said.
    pub layout: Layout,
}

impl Sample {
    pub fn heap(&self) -> u64 {
        self.layout.segments.heap.size()
    }

    pub fn stack(&self) -> u64 {
        self.layout.segments.stack.size()
    }

    pub fn rss(&self) -> u64 {
        self.layout.rss * PAGE_SIZE as u64
    }
}

/// A running `app` that is measured after each step.
pub struct Subject {
    app: Workload,
    pub samples: Vec<Sample>,
}

impl Subject {
    /// Starts it and takes the first sample.
    pub fn start() -> Result<Self> {
        let mut subject = Self {
            app: Workload::start::<&str>("app", &[])?,
            samples: Vec::new(),
        };
        subject.measure("start", 0, 0)?;
        Ok(subject)
    }

    /// Does a step and measures.
    pub fn step(&mut self, words: &str, step: &str) -> Result<()> {
        let answer = self.app.ask(step)?.parse()?;
        let depth = step.strip_prefix("recurse:").map_or(Ok(0), str::parse)?;
        self.measure(words, depth, answer)
    }

    /// Asks the module, and compares each of its figures with `/proc` and with what the program
    /// knows itself.
    fn measure(&mut self, words: &str, depth: u64, answer: u64) -> Result<()> {
        let end_of_heap: u64 = self.app.ask("break")?.parse()?;
        let layout = layout_of(self.app.pid())?.layout;
        ensure!(
            layout.segments.heap.end == end_of_heap,
            "after `{words}` the heap ends at {end_of_heap:#x}, the module says {:#x}",
            layout.segments.heap.end
        );
        let proc = from_proc(self.app.pid())?.to_pages();
        let module = layout.clone().to_pages();
        ensure!(
            module == proc,
            "after `{words}` the module says {module:?}, /proc says {proc:?}"
        );
        self.samples.push(Sample {
            step: words.to_owned(),
            depth,
            answer,
            layout,
        });
        Ok(())
    }
}

/// All samples as comma-separated values, which `xtask` reads to draw them; sizes in bytes.
pub fn csv(samples: &[Sample]) -> String {
    let mut text =
        "step,depth,answer,vmas,heap,stack,anonymous_mappings,rss,total_vm,page_tables\n"
            .to_owned();
    for sample in samples {
        let layout = &sample.layout;
        let row = [
            sample.depth,
            sample.answer,
            layout.vma_count,
            sample.heap(),
            sample.stack(),
            layout.anonymous_bytes(),
            sample.rss(),
            layout.total_vm * PAGE_SIZE as u64,
            layout.page_tables,
        ];
        let row: Vec<String> = row.iter().map(u64::to_string).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\"{}\",{}", sample.step, row.join(","));
    }
    text
}
