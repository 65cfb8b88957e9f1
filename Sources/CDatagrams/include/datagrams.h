// What neither swift-nio nor Swift's import of the C library offers of UDP sockets: many datagrams in one system call, each from the
// address that it has to come from, and an error of one that is nobody else's. Linux.
#ifndef SEALGATE_DATAGRAMS_H
#define SEALGATE_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A datagram that came. Addresses as below.
typedef struct {
    uint64_t high, low;
    // Where it was sent to, or the own address of the interface if that was a group; 0 and 0: not known.
    uint64_t local_high, local_low;
    uint32_t count;
    // Of the interface, for an address of the local link.
    uint32_t scope;
    uint16_t port;
    // Longer than there was room for.
    bool is_cut;
    // Sent to a group or to everybody.
    bool is_group;
} datagrams_incoming;

// A datagram to be sent. Addresses are 16 bytes in network order as two numbers, an IPv4 address in its mapped form.
typedef struct {
    uint64_t high, low;
    // From this address; 0 and 0: from the one that the system chooses.
    uint64_t local_high, local_low;
    // Where its bytes begin, and how many they are.
    uint32_t offset, count;
    // Of the interface, for an address of the local link.
    uint32_t scope;
    uint16_t port;
} datagrams_outgoing;

// What became of them.
typedef struct {
    // From the first on: sent, or lost because the system refused them. Those behind are still to be sent: the socket takes no more.
    int done;
    // Of these the lost ones, and the errno of the last.
    int lost, error;
} datagrams_result;

// Opens a UDP socket that does not block, binds it to `address` (a sockaddr of IPv4 or IPv6) and asks the system to hold `receive_bytes`
// for it, or as many as it allows. A descriptor, or the negative errno.
int datagrams_bind(const void *address, size_t length, int receive_bytes);

// Takes up to `count` datagrams that are there, at most 64, and puts the bytes of each behind `each` bytes of the one before. Their number,
// 0 if there are none, or the negative errno.
int datagrams_receive(int descriptor, void *bytes, size_t each, datagrams_incoming *datagrams, int count);

// Sends `count` datagrams, whose offsets count from `bytes`.
//
// is_v6: the socket is one of IPv6, which takes IPv4 addresses in their mapped form.
datagrams_result datagrams_send(
    int descriptor, bool is_v6, const void *bytes, const datagrams_outgoing *datagrams, int count);

// Joins the IPv4 group `address` (host order) on the interface of that number; 0 or the negative errno.
int datagrams_join4(int descriptor, uint32_t address, unsigned interface);
// Joins the IPv6 group on the interface of that number.
int datagrams_join6(int descriptor, uint64_t high, uint64_t low, unsigned interface);

#endif
