//! What the owner sees of a task.

use neura_types::{
    job::JobFault,
    task::{Task, TaskState},
};

use super::Screen;
use crate::{
    job::{Output, Queue, Report, Step, describe_end},
    plain,
};

pub(super) fn show_step(screen: &Screen, step: &Step) {
    screen.line(match step {
        Step::Picked { provider, height } => format!(
            "1 provider   {} ({}, {}), its key {}… read from the chain at height {height}",
            provider.address,
            plain::line(&provider.capability.gpu_model),
            plain::line(&provider.capability.gpu_backend),
            provider.encryption_key.to_string().get(..12).unwrap_or_default(),
        ),
        Step::Sealed { payload_bytes, envelope_bytes } => {
            format!("2 sealed     {payload_bytes} bytes into an envelope of {envelope_bytes}")
        }
        Step::Stored { blob } => format!("3 stored     {}", blob.locator),
        Step::Sent { escrow, price_per_block, duration_blocks } => format!(
            "4 sent       escrow {escrow}: {price_per_block} per block, at most {duration_blocks} blocks"
        ),
        Step::Confirmed { task, hash, height } => {
            format!("5 confirmed  task {task} at height {height} (transaction {hash})")
        }
        Step::Waiting { queue: Queue { busy_with, until, ahead, deadline } } => {
            let behind = match ahead {
                0 => String::new(),
                1 => ", then another comes before this one".to_owned(),
                ahead => format!(", then {ahead} others come before this one"),
            };
            format!(
                "  waiting    for the provider: it is busy with task {busy_with}, until block {until} at most{behind}; \
                 not accepted by block {deadline}, the escrow returns"
            )
        }
        Step::Changed { task, height } => return show_change(screen, task, *height),
        Step::Noted { checkpoint } => format!(
            "  checkpoint step {} at height {}, {} bytes",
            checkpoint.step, checkpoint.at, checkpoint.blob.size
        ),
        Step::FromStart { reason } => {
            format!("  the checkpoint cannot be handed on, work begins from the start: {reason}")
        }
        Step::HandedOn { to, from_step, deadline } => {
            let start = from_step
                .map_or_else(|| "the start".to_owned(), |step| format!("checkpoint step {step}"));
            format!("  reassigned to {to} from {start}; it has until height {deadline} to accept")
        }
    });
}

fn show_change(screen: &Screen, task: &Task, height: u64) {
    match task.state {
        TaskState::Open | TaskState::Assigned => {}
        TaskState::Running => screen.line(format!(
            "6 accepted   by the provider at height {}; it fetches, opens, executes",
            task.accepted_at
        )),
        TaskState::Submitted => {
            if let Some(result) = &task.result {
                screen.line(format!(
                    "  submitted  result {} at height {}",
                    result.blob.locator, result.at
                ));
            }
        }
        TaskState::Verifying => {
            screen.line(format!("  contested  the provider has until height {}", task.deadline));
        }
        TaskState::Settled | TaskState::Refunded | TaskState::Cancelled | TaskState::Slashed => {
            let at = task.outcome.map_or(height, |outcome| outcome.at);
            screen.line(format!("7 {:<10} at height {at}", task.state.name()));
        }
    }
}

/// Prints what the owner learns from a result.
pub(crate) fn print_report(screen: &Screen, report: &Report) {
    let found = match report {
        Report::Answers(found) => found,
        Report::Outputs { fault, outputs } => {
            return print_outputs(screen, fault.as_ref(), outputs);
        }
    };
    let count = found.answers;
    screen.line(format!("result       {count} {}", if count == 1 { "answer" } else { "answers" }));
    for output in &found.outputs {
        screen.line(format!("output       {}", plain::line(&output.to_string())));
    }
    if found.shortened {
        screen.line(
            "             more: `neura task result ID --out FILE` writes it whole, `neura model answers` reads the file",
        );
    }
    if let Some(equal) = found.equals_reference {
        let verdict = if equal {
            "equal to the reference's, every one"
        } else {
            "DIFFERENT from the reference's"
        };
        screen.line(format!("             {verdict}"));
    }
    if let Some(accuracy) = &found.accuracy {
        screen.line(format!(
            "accuracy     {:.2} % ({} of {})",
            accuracy.percent, accuracy.correct, accuracy.total
        ));
    }
}

fn print_outputs(screen: &Screen, fault: Option<&JobFault>, outputs: &[Output]) {
    if let Some(fault) = fault {
        let fault = plain::line(&fault.to_string());
        screen.line(format!("result       the job failed: {fault}"));
    }
    for Output { name, bytes, text } in outputs {
        screen.line(format!("output       {}, {bytes} bytes", plain::line(name)));
        for line in text.iter().flat_map(|text| text.lines()) {
            screen.line(format!("             {}", plain::line(line)));
        }
    }
}

/// Prints how a task ended and where the escrow went.
pub(crate) fn print_end(screen: &Screen, task: &Task) {
    let Some(outcome) = task.outcome else { return };
    let s = outcome.settlement;
    screen.line(format!(
        "settlement   task {}, {}: provider {}, validators {}, treasury {}, model owners {}, returned {}",
        task.id,
        describe_end(task),
        s.provider,
        s.validators,
        s.treasury,
        s.model,
        s.refund
    ));
}

/// Prints what the owner may do with a result that waits for it.
pub(super) fn print_choice(screen: &Screen, task: &Task) {
    let Task { id, deadline, .. } = task;
    if task.state == TaskState::Submitted {
        screen.line(format!(
            "not approved `neura task approve {id}` pays the provider for the blocks used, `neura task challenge {id} \
             REASON` contests; at height {deadline} the chain accepts it by itself"
        ));
    }
}

/// Prints where a task stands.
pub(super) fn print_task(screen: &Screen, task: &Task) {
    let Task { id, terms, .. } = task;
    screen.line(format!("task         {id} is {}", task.state.name()));
    screen.line(format!("owner        {}", task.owner));
    screen.line(format!("provider     {}, last seen at height {}", terms.provider, task.seen_at));
    screen.line(format!(
        "escrow       {}: {} per block, at most {} blocks of {}",
        task.escrow,
        task.price_per_block,
        terms.duration_blocks,
        plain::line(&terms.executor)
    ));
    if let Some(noted) = &task.checkpoint {
        screen.line(format!("checkpoint   step {} at height {}", noted.step, noted.at));
    }
    if let Some(result) = &task.result {
        screen.line(format!("result       {} at height {}", result.blob.locator, result.at));
    }
    if task.state.is_terminal() {
        print_end(screen, task);
    } else {
        screen.line(format!("deadline     height {}", task.deadline));
    }
}
