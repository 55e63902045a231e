/* What libFuzzer calls (make fuzzer CC=clang), and without libFuzzer a program that takes files of such inputs, one after
 * the other: `replay FILE...`. An input is a dialogue, a record after the other:
 *
 *   0 n BYTES          n bytes as they are                    3 u16    CREDIT for the newest request
 *   1 nonce previous   SYNC                                   4 n      n x 4.096 ms pass
 *   2 n                the board is slow: n kicks, then the   5        the link is seen to close
 *                      emergency stop is pressed
 *   6 sequence part parts opcode u16 PAYLOAD                  a request, its sequence counted from the next one
 *   7 opcode u16 PAYLOAD                                      a request of one frame, the next one
 * What is looked for is what sanitizers see, and that the device answers a SYNC whatever came before. */
#include <stdio.h>
#include <stdlib.h>

#include "core.h"
#include "dialogue.h"

#define PATIENCE 1000 /* kicks of one input: no wait for 10^9 pulses */

struct records {
    const uint8_t *at, *end;
};

static uint32_t next(struct records *r, unsigned bytes) {
    if ((size_t)(r->end - r->at) < bytes) r->at = r->end;
    if (r->at == r->end) return 0;
    r->at += bytes;
    return (uint32_t)load(r->at - bytes, bytes);
}

static const uint8_t *portion(struct records *r, uint32_t most, uint16_t *count) {
    size_t left = (size_t)(r->end - r->at);
    *count = (uint16_t)(most < left ? most : left);
    r->at += *count;
    return r->at - *count;
}

static void send_request(struct records *r, bool whole, uint32_t session) {
    uint32_t ahead = whole ? 0 : next(r, 1), part = whole ? 0 : next(r, 1), parts = whole ? 1 : next(r, 1);
    uint8_t opcode = (uint8_t)next(r, 1);
    uint32_t wanted = next(r, 2);
    uint16_t count;
    const uint8_t *payload = portion(r, wanted < MAX_PAYLOAD ? wanted : MAX_PAYLOAD, &count);
    length = 0;
    append(KIND_REQUEST, opcode, session, last + 1 + (uint32_t)(int8_t)ahead, (uint16_t)part, (uint16_t)parts, payload, count);
    take(input, length);
    if (whole) last++;
}

static void one_record(struct records *r, uint32_t *session) {
    uint8_t kind = (uint8_t)(next(r, 1) % 8), credit[2];
    uint16_t count;
    const uint8_t *bytes;
    switch (kind) {
        case 0: bytes = portion(r, next(r, 1), &count); take(bytes, count); break;
        case 1: *session = next(r, 1); synchronize(*session, next(r, 1)); break;
        case 2: tired = kicks + next(r, 1); break;
        case 3:
            number(credit, next(r, 2), 2);
            length = 0;
            append(KIND_CREDIT, 0, *session, last, 0, 1, credit, 2);
            take(input, length);
            break;
        case 4: now += (uint64_t)next(r, 1) << 12; hil_poll(); break;
        case 5: hil_link_lost(); break;
        default: send_request(r, kind == 7, *session); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct records records = {data, data + size};
    uint32_t session = 7;
    hil_start();
    tired = kicks + PATIENCE;
    synchronize(session, 0);
    while (records.at < records.end) one_record(&records, &session);
    uint32_t before = synced;
    synchronize(250, session);
    synchronize(251, 250);
    if (synced < before + 2) abort();
    return 0;
}

#ifndef FUZZER
int main(int argc, char **argv) {
    static uint8_t data[1 << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            fprintf(stderr, "replay: no file %s\n", argv[i]);
            return 2;
        }
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d inputs: no finding\n", argc - 1);
    return 0;
}
#endif
