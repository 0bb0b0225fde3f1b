//! Counting what was lost.

/// Adds 1 to a field of [`Losses`](leaktrace_common::Losses).
macro_rules! count_lost {
    ($field:ident) => {
        if let Some(losses) = $crate::maps::LOSSES.get_ptr_mut(0) {
            // SAFETY: the pointer is a live map value.
            let counter = unsafe { &raw mut (*losses).$field };
            $crate::atomic::add(counter, 1);
        }
    };
}
pub(crate) use count_lost;
