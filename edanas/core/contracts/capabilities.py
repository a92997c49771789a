"""Capabilities: class attributes that tell which optional methods of a contract an implementation has."""


def derive(implementation: type, capability: str, method: str) -> None:
    """Set `capability` of a class that overrides `method`, unless the class declares the capability itself.

    The nearest class in the method resolution order decides. A wrapper therefore declares the capability, as
    a class attribute, a property or an attribute of each object; an implementation need not.

    Args:
        implementation: A subclass of a contract. The contract declares `capability` and defines `method`.
        capability: The name of a boolean attribute.
        method: The name of the optional method.

    Example:
        >>> class Contract:
        ...     sings = False
        ...     def sing(self): ...
        >>> class Bird(Contract):
        ...     def sing(self): ...
        >>> derive(Bird, "sings", "sing")
        >>> Bird.sings
        True
    """
    for each in implementation.__mro__:
        if capability in vars(each):
            return
        if method in vars(each):
            setattr(implementation, capability, True)
            return
