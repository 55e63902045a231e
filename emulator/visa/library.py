"""The VISA library of a virtual laboratory, as PyVISA calls one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pyvisa import constants, highlevel, rname
from pyvisa.constants import EventType, StatusCode
from pyvisa.util import LibraryPath

from emulator.circuits.laboratory import Laboratory
from emulator.visa.session import Session, canonical, parse
from firmware_specs.labs import load_lab

Handle = Any


class HilVisaLibrary(highlevel.VisaLibraryBase):
    """One laboratory file is one library, shared by all resource managers of the process that name it.

    Attributes:
        laboratory: Its instruments and circuit.
    """

    laboratory: Laboratory

    @staticmethod
    def get_library_paths() -> tuple[LibraryPath, ...]:
        """None: a laboratory is named before `@hil`."""
        return ()

    @staticmethod
    def get_debug_info() -> dict[str, str]:
        """For `pyvisa-info`."""
        return {"Version": "crossbar-hil", "Laboratory": "named before @hil: FILE@hil"}

    def _init(self) -> None:
        self.laboratory = Laboratory(load_lab(str(self.library_path)))
        self._handles: Iterator[Handle] = itertools.count(1)
        self._sessions: dict[Handle, Session | None] = {}
        self._resources = {canonical(a): (a, name) for a, name in self.laboratory.lab.addresses.items()}

    def open_default_resource_manager(self) -> tuple[Any, StatusCode]:
        """A resource manager's session."""
        handle: Handle = next(self._handles)
        self._sessions[handle] = None
        return handle, self.handle_return_value(handle, StatusCode.success)

    def list_resources(self, session: Handle, query: str = "?*::INSTR") -> tuple[str, ...]:
        """Instruments whose VISA name fits a query."""
        return tuple(rname.filter([address for address, _ in self._resources.values()], query))

    def open(
        self,
        session: Handle,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[Any, StatusCode]:
        """A session to an instrument."""
        try:
            key = canonical(resource_name)
        except rname.InvalidResourceName:
            return 0, self.handle_return_value(None, StatusCode.error_invalid_resource_name)
        if key not in self._resources:
            return 0, self.handle_return_value(None, StatusCode.error_resource_not_found)
        address, name = self._resources[key]
        opened = Session(self.laboratory, name, parse(address), address)
        handle: Handle = next(self._handles)
        self._sessions[handle] = opened
        box = opened.box
        if hasattr(box, "service"):
            box.service = lambda: self._service(name)
        return handle, self.handle_return_value(handle, StatusCode.success)

    def close(self, session: Handle) -> StatusCode:
        """Ends a session; outputs stay as they are, as with any instrument."""
        if self._sessions.pop(session, False) is False:
            return self.handle_return_value(session, StatusCode.error_invalid_object)
        return self.handle_return_value(session, StatusCode.success)

    def read(self, session: Handle, count: int) -> tuple[bytes, StatusCode]:
        """What the instrument has said."""
        data, status = self._of(session).read(count)
        return data, self.handle_return_value(session, status)

    def write(self, session: Handle, data: bytes) -> tuple[int, StatusCode]:
        """A message to the instrument."""
        count, status = self._of(session).write(bytes(data))
        return count, self.handle_return_value(session, status)

    buffer_read = read
    buffer_write = write

    def read_stb(self, session: Handle) -> tuple[int, StatusCode]:
        """A serial poll."""
        return self._of(session).status_byte(), self.handle_return_value(session, StatusCode.success)

    def clear(self, session: Handle) -> StatusCode:
        """Device clear."""
        return self.handle_return_value(session, self._of(session).clear())

    def flush(self, session: Handle, mask: constants.BufferOperation) -> StatusCode:
        """Nothing is buffered on the way."""
        return self.handle_return_value(session, StatusCode.success)

    def assert_trigger(self, session: Handle, protocol: constants.TriggerProtocol) -> StatusCode:
        """A trigger on the bus."""
        return self.handle_return_value(session, self._of(session).trigger())

    def gpib_control_ren(self, session: Handle, mode: constants.RENLineOperation) -> StatusCode:
        """Remote and local: taken; a virtual front panel has nobody before it."""
        self._of(session)
        return self.handle_return_value(session, StatusCode.success)

    def get_attribute(self, session: Handle, attribute: Any) -> tuple[Any, StatusCode]:
        """An attribute of a session."""
        found = self._sessions.get(session)
        if found is None:
            return None, self.handle_return_value(session, StatusCode.error_nonsupported_attribute)
        state, status = found.get(attribute)
        return state, self.handle_return_value(session, status)

    def set_attribute(self, session: Handle, attribute: Any, attribute_state: Any) -> StatusCode:
        """Changes an attribute."""
        return self.handle_return_value(session, self._of(session).set(attribute, attribute_state))

    def lock(
        self, session: Handle, lock_type: constants.Lock, timeout: int, requested_key: str | None = None
    ) -> tuple[str, StatusCode]:
        """One process, one laboratory: there is nobody to lock out."""
        self._of(session)
        return requested_key or "", self.handle_return_value(session, StatusCode.success)

    def unlock(self, session: Handle) -> StatusCode:
        """As `lock`."""
        self._of(session)
        return self.handle_return_value(session, StatusCode.success)

    def enable_event(self, session: Handle, event_type: EventType, mechanism: Any, context: None = None) -> StatusCode:
        """Collects events from now on."""
        self._of(session).enabled.add(event_type)
        return self.handle_return_value(session, StatusCode.success)

    def disable_event(self, session: Handle, event_type: EventType, mechanism: Any) -> StatusCode:
        """Collects them no more."""
        found = self._of(session)
        found.enabled = set() if event_type == EventType.all_enabled else found.enabled - {event_type}
        return self.handle_return_value(session, StatusCode.success)

    def discard_events(self, session: Handle, event_type: EventType, mechanism: Any) -> StatusCode:
        """Forgets those collected."""
        self._of(session).events.clear()
        return self.handle_return_value(session, StatusCode.success)

    def wait_on_event(self, session: Handle, in_event_type: EventType, timeout: int) -> tuple[Any, Any, StatusCode]:
        """The oldest event; instruments act at once, so one that has not come does not come by waiting."""
        found = self._of(session)
        if not found.events:
            status = self.handle_return_value(session, StatusCode.error_timeout)
            return in_event_type, 0, status
        return found.events.popleft(), next(self._handles), self.handle_return_value(session, StatusCode.success)

    def uninstall_all_visa_handlers(self, session: Handle | None) -> None:
        """Handlers that were installed here are called from `_service`, so there is nothing below to tell."""
        if session is None:
            self.handlers.clear()
        else:
            self.handlers.pop(session, None)

    def install_handler(self, session: Handle, event_type: EventType, handler: Any, user_handle: Any = None) -> Any:
        """A function to be called at an event."""
        status = self.handle_return_value(session, StatusCode.success)
        return handler, user_handle, handler, status

    def uninstall_handler(self, session: Handle, event_type: EventType, handler: Any, user_handle: Any = None) -> Any:
        """Not to be called any more."""
        return self.handle_return_value(session, StatusCode.success)

    def _service(self, name: str) -> None:
        for handle, session in list(self._sessions.items()):
            if session is not None and session.name == name:
                session.serviced()
                for handler, user, _, event in list(self.handlers.get(handle, ())):
                    if event == EventType.service_request:
                        handler(handle, event, next(self._handles), user)

    def _of(self, session: Handle) -> Session:
        found = self._sessions.get(session)
        if found is None:
            self.handle_return_value(None, StatusCode.error_invalid_object)
        assert found is not None  # noqa: S101 - the line above has raised
        return found
