"""`Record`: immutable value classes that cost almost nothing to import.

`dataclasses`, `typing` and even `namedtuple` (which compiles a constructor for each
class) take a good part of the time that a whole `queuectl enqueue` may (DESIGN,
Dependencies). A record is a plain tuple with named fields, built from annotations.
"""

from __future__ import annotations

try:
    # What the fields of a namedtuple are: twice as fast as what stands in for it.
    from _collections import _tuplegetter  # type: ignore[import-not-found]
except ImportError:
    from operator import itemgetter

    def _tuplegetter(index, doc):  # type: ignore[no-untyped-def]
        return property(itemgetter(index), doc=doc)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]
    ) -> _RecordType:
        fields = tuple(namespace.get("__annotations__", ()))
        namespace["_defaults"] = {f: namespace[f] for f in fields if f in namespace}
        namespace["_fields"] = fields
        namespace["__match_args__"] = fields
        namespace["__slots__"] = ()
        for index, field in enumerate(fields):
            namespace[field] = _tuplegetter(index, None)
        return super().__new__(mcls, name, bases, namespace)


class _Tuple(tuple):  # type: ignore[type-arg]
    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - each class has its own

    def __new__(cls, *values: Any, **named: Any) -> Self:
        missing = cls._fields[len(values) :]
        if missing:
            try:
                values += tuple(
                    [named.pop(f) if f in named else cls._defaults[f] for f in missing]
                )
            except KeyError as error:
                raise TypeError(f"{cls.__name__} needs {error.args[0]}") from None
        if named or len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
        return tuple.__new__(cls, values)

    @classmethod
    def make(cls, values: Iterable[Any]) -> Self:
        """A record from all its values in order, unchecked: the fast way."""
        return tuple.__new__(cls, values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        values = tuple([changes.pop(f) if f in changes else v for f, v in self.items()])
        if changes:
            raise TypeError(f"{type(self).__name__} has no {', '.join(changes)}")
        return tuple.__new__(type(self), values)

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of field name and value, in order."""
        return zip(self._fields, self, strict=True)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        inner = ", ".join(f"{field}={value!r}" for field, value in self.items())
        return f"{type(self).__name__}({inner})"


if TYPE_CHECKING:

    class Record(metaclass=_RecordType):
        """Base of all values: fields by annotation, those with defaults last, immutable.

        Equal, and hashed, as the tuple of its values.
        """

        _fields: ClassVar[tuple[str, ...]]

        @classmethod
        def make(cls, values: Iterable[Any]) -> Self: ...
        def replace(self, **changes: Any) -> Self: ...
        def items(self) -> Iterable[tuple[str, Any]]: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __getitem__(self, index: int) -> Any: ...

else:
    Record = type.__new__(_RecordType, "Record", (_Tuple,), {"__slots__": ()})
