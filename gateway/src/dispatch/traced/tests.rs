use super::*;
use shared::event::EventKind;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn without_a_tracer_the_context_goes_on_as_it_came() {
    let context: TraceContext = PARENT.parse().expect("valid");
    let entered = context.enter();
    let mut traced = Traced::arrived(&Tracer::off());
    drop(entered);
    let event = crate::handlers::sample::event("discord:guild:1", EventKind::DiscordCommand, "{}");
    assert_eq!(traced.attempt(&Tracer::off(), SpanKind::Internal, &event, 0).context(), None);
    assert_eq!((traced.context(), traced.caller()), (Some(&context), Some(&context)));
}

#[test]
fn what_came_with_nothing_keeps_nothing() {
    let traced = Traced::arrived(&Tracer::off());
    assert!(traced.context().is_none() && !traced.is_recorded());
    assert!(Traced::resumed(None).caller().is_none());
}
