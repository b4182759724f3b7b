//! Loops compiled for the machine's widest vectors.
//!
//! No bit depends on how wide they are: each number is computed as it would be alone, sums are kept in a fixed number of
//! lanes, and the compiler does not fuse a product with a sum.

/// Declares functions whose bodies are compiled for each instruction set and chosen as the machine allows.
///
/// A body is plain code over slices; what it calls must be `#[inline(always)]` to be compiled with it.
macro_rules! vectorized {
    ($(
        $(#[$doc:meta])*
        $vis:vis fn $name:ident<'a $(, $type:ident: $bound:path)*>(
            $($argument:ident: $kind:ty),* $(,)?
        ) $(-> $output:ty)? $body:block
    )*) => {$(
        $(#[$doc])*
        $vis fn $name<'a $(, $type: $bound)*>($($argument: $kind),*) $(-> $output)? {
            struct Kernel<'a $(, $type: $bound)*> {
                $($argument: $kind,)*
                lifetime: std::marker::PhantomData<&'a ()>,
            }
            impl<'a $(, $type: $bound)*> pulp::NullaryFnOnce for Kernel<'a $(, $type)*> {
                type Output = vectorized!(@output $($output)?);
                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self { $($argument,)* .. } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel { $($argument,)* lifetime: std::marker::PhantomData })
        }
    )*};
    (@output) => { () };
    (@output $output:ty) => { $output };
}

pub(crate) use vectorized;
