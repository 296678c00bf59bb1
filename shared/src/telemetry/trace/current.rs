//! Which span the running code belongs to: kept per thread, and set by whoever has the span while its work runs. Logs and
//! calls between services read it here. Decides nothing.

use super::TraceContext;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static CURRENT: RefCell<Option<TraceContext>> = const { RefCell::new(None) };
}

impl TraceContext {
    /// Returns the span that the running code belongs to, if it belongs to one.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Makes this the current span of the thread until the guard is dropped. For code that does not await.
    #[must_use = "the span is current as long as the guard lives"]
    pub fn enter(&self) -> Entered {
        Entered { before: CURRENT.replace(Some(self.clone())), here: PhantomData }
    }
}

/// While it lives, a span is current. It stays on its thread.
#[derive(Debug)]
pub struct Entered {
    before: Option<TraceContext>,
    here: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

pin_project! {
    /// A future with a span that is current whenever it runs, on whatever thread. It lies where the future lies: nothing
    /// is allocated.
    #[derive(Debug)]
    pub struct Scope<F> {
        span: Option<TraceContext>,
        #[pin]
        inner: F,
    }
}

impl<F: Future> Scope<F> {
    /// Makes `span` current in `inner`. Without a span the future runs as it is.
    pub const fn new(span: Option<TraceContext>, inner: F) -> Self {
        Self { span, inner }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.as_ref().map(TraceContext::enter);
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests;
