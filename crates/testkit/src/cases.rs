/// Defines a test for each case of a contract suite, for one adapter.
///
/// A suite has one list of cases, which it wraps in a macro of its own (`every_case!`). Each adapter names
/// the function that opens it, and the server that it needs, if any. `in` names the module of the cases, as
/// seen from the adapter. A case is an async function that takes the value of the opening function.
///
/// ```ignore
/// macro_rules! every_case {
///     ($($adapter:tt)*) => {
///         testkit::cases! { [$($adapter)*]
///             in (super) { what_was_stored_is_found, what_was_never_stored_is_not_found, }
///         }
///     };
/// }
///
/// mod sqlite {
///     every_case!(open);
/// }
///
/// mod postgres {
///     every_case!(open, ignore = "needs postgres");
/// }
/// ```
#[macro_export]
macro_rules! cases {
    (@each $adapter:tt $home:tt $($case:ident)+) => {
        $($crate::cases! { @one $adapter $home $case })+
    };
    (@one [$open:path $(, ignore = $why:literal)?] ($($home:tt)+) $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[ignore = $why])?
        async fn $case() {
            $($home)+::$case($open().await).await;
        }
    };
    ($adapter:tt $(in $home:tt { $($case:ident,)+ })+) => {
        $($crate::cases! { @each $adapter $home $($case)+ })+
    };
}
