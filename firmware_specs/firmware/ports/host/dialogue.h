/* The other side of a board that is tested in one process: frames a host would send, and whether SYNCED came. */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include <stddef.h>
#include <stdint.h>

extern uint32_t synced;       /* SYNCED frames so far */
extern uint32_t last;         /* as the newest SYNCED says: the next request is the one behind it */
extern uint64_t now;          /* microseconds; every look at the clock takes 10 */
extern uint32_t kicks, tired; /* port_kick was called; from `tired` on (0: never) the emergency stop is pressed */

/* Bytes for the device, put together frame by frame, then taken by it at once. */
extern uint8_t input[];
extern size_t length;
void append(uint8_t kind, uint8_t opcode, uint32_t session, uint32_t sequence, uint16_t part, uint16_t parts,
            const uint8_t *payload, uint16_t count);
void take(const uint8_t *bytes, size_t count);
void synchronize(uint32_t nonce, uint32_t previous);
void number(uint8_t *to, uint64_t value, unsigned bytes);

#endif
