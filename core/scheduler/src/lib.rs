//! Calls, queue, choice and admission.
