/* The codec alone, for golden vectors. A line in, a line out:
 *   e KIND OPCODE FLAGS SESSION SEQUENCE PART PARTS HEX   ->  the frame's bytes on the wire, in hex
 *   d HEX                                                 ->  KIND OPCODE SESSION SEQUENCE PART PARTS HEX, or damaged
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static uint8_t bytes[2 * MAX_FRAME];

static size_t from_hex(const char *text) {
    size_t count = 0;
    unsigned value;
    for (; count < sizeof bytes && sscanf(text + 2 * count, "%2x", &value) == 1; count++) bytes[count] = (uint8_t)value;
    return count;
}

void port_send(const uint8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) printf("%02x", out[i]);
}

void link_frame(const struct frame *f) {
    printf("%u %u %u %u %u %u ", f->kind, f->opcode, f->session, f->sequence, f->part, f->parts);
    port_send(f->payload, f->length);
}

void link_damaged(void) { printf("damaged"); }

uint8_t device_flags(void) { return 0; }

int main(void) {
    static char line[4 * MAX_FRAME + 200], text[4 * MAX_FRAME + 8];
    frame_reset();
    while (fgets(line, sizeof line, stdin)) {
        unsigned kind, opcode, flags, session, sequence, part, parts;
        text[0] = 0;
        if (sscanf(line, "e %u %u %u %u %u %u %u %s", &kind, &opcode, &flags, &session, &sequence, &part, &parts, text) >= 7) {
            struct frame frame = {0, (uint8_t)kind, (uint8_t)opcode, (uint8_t)flags, session, sequence, (uint16_t)part,
                                  (uint16_t)parts, (uint16_t)from_hex(text), bytes};
            frame_send(&frame);
        } else if (sscanf(line, "d %s", text) == 1) {
            size_t count = from_hex(text);
            for (size_t i = 0; i < count; i++) frame_take(bytes[i]);
        }
        printf("\n");
    }
    return 0;
}
