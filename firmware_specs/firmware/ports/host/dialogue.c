/* A host in the same process as the board: for campaigns that look for what sanitizers see. */
#include "dialogue.h"

#include <string.h>

#include "core.h"

uint32_t synced, last, kicks, tired;
uint64_t now;

/* The device's answers: only that SYNCED comes, with the right nonce, is looked at; frames are found by their zeros. */
static uint8_t answer[2 * MAX_FRAME];
static size_t answered;

static void look(void) {
    uint8_t body[HEADER_SIZE + 8] = {0};
    size_t n = 0;
    for (size_t at = 0; at < answered && n < sizeof body;) {
        size_t code = answer[at++];
        for (size_t i = 1; i < code && at < answered && n < sizeof body; i++) body[n++] = answer[at++];
        if (code < 255 && n < sizeof body) body[n++] = 0;
    }
    if (body[AT_KIND] == KIND_SYNCED) {
        synced++;
        last = (uint32_t)load(body + HEADER_SIZE + 4, 4);
    }
    answered = 0;
}

void port_send(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == 0) look();
        else if (answered < sizeof answer) answer[answered++] = bytes[i];
    }
}
uint64_t port_micros(void) { return now += 10; }
void port_kick(void) { kicks++; }
uint32_t port_boot(void) { return (uint32_t)now; }
const char *port_serial(void) { return "mutate"; }
void port_outputs(int on) { (void)on; }
int port_cause(void) { return tired && kicks >= tired ? TRIP_EMERGENCY_STOP : TRIP_NONE; }
double port_kelvin(void) { return 300; }

uint8_t input[8 * MAX_FRAME];
size_t length;

static uint32_t crc(const uint8_t *bytes, size_t count) {
    uint32_t sum = UINT32_C(0xFFFFFFFF);
    for (size_t i = 0; i < count; i++) {
        sum ^= bytes[i];
        for (int k = 0; k < 8; k++) sum = sum >> 1 ^ (sum & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~sum;
}

void append(uint8_t kind, uint8_t opcode, uint32_t session, uint32_t sequence, uint16_t part, uint16_t parts,
            const uint8_t *payload, uint16_t count) {
    static uint8_t body[MAX_FRAME + 64];
    const uint32_t fields[5] = {session, sequence, part, parts, count};
    static const uint8_t widths[5] = {4, 4, 2, 2, 2};
    size_t n = 0, code;
    body[n++] = PROTOCOL_VERSION;
    body[n++] = kind;
    body[n++] = opcode;
    body[n++] = 0;
    for (unsigned f = 0; f < 5; f++)
        for (unsigned i = 0; i < widths[f]; i++) body[n++] = (uint8_t)(fields[f] >> (8 * i));
    memcpy(body + n, payload, count);
    n += count;
    uint32_t sum = crc(body, n);
    for (unsigned i = 0; i < 4; i++) body[n++] = (uint8_t)(sum >> (8 * i));
    code = length++;
    uint8_t run = 1;
    for (size_t i = 0; i < n; i++) {
        if (body[i]) {
            input[length++] = body[i];
            run++;
        }
        if (!body[i] || (run == 255 && i + 1 < n)) {
            input[code] = run;
            run = 1;
            code = length++;
        }
    }
    input[code] = run;
    input[length++] = 0;
}

void number(uint8_t *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}

void take(const uint8_t *bytes, size_t count) {
    hil_feed(bytes, count);
    hil_poll();
}

void synchronize(uint32_t nonce, uint32_t previous) {
    uint8_t payload[12] = {1, 1, 2, 0};
    number(payload + 4, previous, 4);
    payload[8] = 2;
    length = 0;
    input[length++] = 0;
    append(KIND_SYNC, 0, nonce, 0, 0, 1, payload, 12);
    take(input, length);
}
