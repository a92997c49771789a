"""Capabilities: boolean attributes that state which optional methods an implementation has."""


def derive(implementation: type, capability: str, method: str) -> None:
    """Set `capability` to true on a class that overrides `method`, unless the class sets it explicitly.

    The first class in the method resolution order that overrides `method` or sets `capability` decides. An
    implementation therefore need not set the capability. A wrapper must set it: as a class attribute, as a
    property, or as an attribute of each object.

    Args:
        implementation: A subclass of a contract. The contract itself defines `capability` and `method`.
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
