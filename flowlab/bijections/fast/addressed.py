"""Compiled functions that are called by address: numba compiles anew what it calls by name."""

from collections.abc import Callable

from llvmlite import ir
from numba import cfunc, types
from numba.core import cgutils
from numba.extending import intrinsic

from flowlab.bijections.fast.rows import OPTIONS, named

_in_use = []  # what stays compiled, since nothing else holds what is called by address
_signatures = set()


def address(function: Callable, *arguments: types.Type) -> int:
    """Where the function is, compiled for arguments of these types."""
    made = cfunc(types.void(*arguments), **OPTIONS)(named(function))
    _in_use.append(made)
    _signatures.add(arguments)
    return made.address


def _called(typing, address, arguments):
    if tuple(arguments) not in _signatures:
        raise TypeError(f"No function that is called by its address takes {arguments}.")

    def lower(context, builder, signature, values):
        kinds = [context.get_value_type(kind) for kind in arguments]
        function = ir.FunctionType(context.get_value_type(types.none), kinds)
        builder.call(builder.inttoptr(values[0], function.as_pointer()),
                     cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    return types.void(address, arguments), lower


#: Call the function at an address with a tuple of arguments, in compiled code.
call = intrinsic(_called)
