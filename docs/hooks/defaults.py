"""Gives each parameter of the reference its own default.

Where a docstring describes several parameters in one line, ``lr, eps : float``, mkdocstrings shows the first one's
default for all of them. This extension of it runs while it reads the library.
"""

import griffe


class Defaults(griffe.Extension):
    def on_package(self, *, pkg, **kwargs):
        for module in pkg.modules.values():
            for function in module.functions.values():
                own = {parameter.name: parameter.default for parameter in function.parameters}
                for section in function.docstring.parsed if function.docstring else ():
                    if section.kind is griffe.DocstringSectionKind.parameters:
                        for described in section.value:
                            described.value = own.get(described.name, described.value)
