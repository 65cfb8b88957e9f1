/* All of the crowd lose their connections at the same moment, and come back at once. */
#include "crowd.h"

#include <stdio.h>

static uint64_t cut_at;
static uint32_t *back_us, back;

void storm_connected(uint64_t now) {
    if (cut_at && back < (uint32_t)opt.crowd) back_us[back++] = (uint32_t)((now - cut_at) / 1000);
}

void storm_run(void) {
    if (!back_us) back_us = grab((size_t)opt.crowd, sizeof *back_us);
    back = 0;
    links_failed = 0;
    canary_mark(true);
    cut_at = now_ns();
    links_cut(CROWD);
    uint64_t now = cut_at;
    while (links_up < link_count && (double)(now - cut_at) * 1e-9 < opt.timeout) {
        links_step(1);
        now = now_ns();
    }
    cut_at = 0;
    canary_mark(false);
    uint32_t missing = (uint32_t)opt.crowd - back, last = 0;
    for (uint32_t i = 0; i < back; i++)
        if (back_us[i] > last) last = back_us[i];
    printf("{\"connections\":%d,\"missing\":%u,\"failures\":%d,\"tls\":\"%s\",\"back_s\":%.3f", links_up, missing, links_failed,
           tls_version, last * 1e-6);
    print_quantiles("back_ms", back_us, back);
    canary_print();
    printf("}\n");
}
