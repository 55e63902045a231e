/* A mutation campaign on the core: sound dialogues, damaged in one of many ways, for as many inputs as asked for. What
 * is looked for is what sanitizers see, and that a SYNC behind every input is answered.
 *
 *   mutate [INPUTS] [SEED] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "dialogue.h"

static uint32_t seed = 1;

static uint32_t draw(uint32_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

/* A payload that is sound or nearly so, so that mutations get behind the first check. */
static uint16_t payload_for(uint8_t opcode, uint8_t *to) {
    static const uint8_t topology[] = {0, 0, 0, 0, 2, 1, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 1, 2, 0, 0, 0, 0,
                                       0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    memset(to, 0, 256);
    switch (opcode) {
        case OP_CONFIGURE: memcpy(to, topology, sizeof topology); return sizeof topology;
        case OP_WATCHDOG: number(to, UINT64_C(0x404E000000000000), 8); return 8;
        case OP_TOPOLOGY: return 2;
        case OP_FAULT_LOG: to[4] = 64; return 6;
        case OP_USAGE: to[9] = 4; to[17] = 2; return 21;
        case OP_READ_CELLS: to[9] = 4; to[17] = 2; to[21] = 2; return 23;
        case OP_MEASURE: to[9] = 4; to[17] = 2; to[21] = 1; to[23] = 1; number(to + 25, UINT64_C(0x3FB999999999999A), 8); return 33;
        case OP_PULSE:
            to[9] = 4; to[17] = 2; to[21] = 1;
            number(to + 22, UINT64_C(0x3FF0000000000000), 8);
            number(to + 30, UINT64_C(0x3EB0C6F7A0B5ED8D), 8);
            to[39] = 2;
            return 43;
        case OP_WRITE_CELLS: to[2] = 2; to[8] = 1; to[18] = 4; to[26] = 2; to[30] = 2; return 31 + 16;
        case OP_SETTLE:
            to[3] = 1; to[4] = 2; to[8] = 1; to[18] = 2; to[20] = 1;
            to[21] = 2; to[22] = 3;
            to[38] = 2; to[39] = 2;
            return 51;
        case OP_SET_LIMITS: for (unsigned i = 0; i < 8; i++) number(to + 8 * i, UINT64_C(0x3F00000000000000), 8); return 64;
        default: return (uint16_t)draw(64);
    }
}

static const uint8_t opcodes[] = {OP_CONFIGURE, OP_WATCHDOG, OP_ARM, OP_WRITE_CELLS, OP_READ_CELLS, OP_PULSE, OP_MEASURE,
                                  OP_USAGE, OP_SETTLE, OP_SET_LIMITS, OP_FAULT_LOG, OP_ECHO, OP_STATUS, OP_TOPOLOGY};

static void one(uint32_t round) {
    static uint8_t payload[MAX_PAYLOAD];
    if (round % 64 == 0) {
        synchronize(9, 0);
        synchronize(7, 9);
        for (unsigned i = 0; i < 3; i++) { /* placed and armed, so that the armed verbs are reached */
            length = 0;
            append(KIND_REQUEST, opcodes[i], 7, last + 1 + i, 0, 1, payload, opcodes[i] == OP_ARM ? 0 : payload_for(opcodes[i], payload));
            take(input, length);
        }
        synchronize(7, 9);
    }
    uint8_t opcode = draw(16) ? opcodes[draw(sizeof opcodes)] : (uint8_t)draw(256);
    uint16_t count = payload_for(opcode, payload), part = 0, parts = 1;
    for (uint32_t n = draw(4); n && count; n--) payload[draw(count)] = draw(2) ? (uint8_t)draw(256) : (uint8_t)(0u - draw(3));
    if (draw(16) == 0) count = (uint16_t)draw(count + 8u);
    if (draw(32) == 0) parts = (uint16_t)draw(6), part = (uint16_t)draw(6), count = draw(2) ? MAX_PAYLOAD : count;
    if (opcode == OP_PULSE && draw(8)) number(payload + 39, draw(20), 4); /* not 10^9 pulses each time */
    uint32_t number_of = draw(16) ? last + 1 : last + draw(4) - 1;
    length = 0;
    append(draw(64) ? KIND_REQUEST : (uint8_t)draw(9), opcode, draw(64) ? 7 : draw(9), number_of, part, parts, payload, count);
    if (draw(8) == 0) input[draw((uint32_t)length)] = (uint8_t)draw(256);
    take(input, length);
    unsigned before = synced;
    synchronize(draw(2) ? 7 : 8, 7); /* the same session goes on, whatever the input did */
    synchronize(7, 8);
    if (synced < before + 2) {
        printf("input %u: SYNC was not answered\n", round);
        abort();
    }
}

int main(int argc, char **argv) {
    uint32_t inputs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    seed = argc > 2 ? 2 * (uint32_t)strtoul(argv[2], NULL, 10) + 1 : 1;
    hil_start();
    for (uint32_t n = 0; n < inputs; n++) one(n);
    printf("%u inputs, %llu transactions, %u damaged frames: no finding\n", inputs,
           (unsigned long long)device.transactions, device.damaged);
    return 0;
}
