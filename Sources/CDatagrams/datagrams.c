#define _GNU_SOURCE
#include "datagrams.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Datagrams of one system call.
enum { BATCH = 64 };

int datagrams_bind(const void *address, size_t length, int receive_bytes) {
    int family = ((const struct sockaddr *)address)->sa_family;
    int descriptor = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    // Over the system's limit only for a process that may, else up to it.
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) != 0)
        (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    // Only on all addresses can something arrive that was sent to a group, or to one address of several.
    int yes = 1;
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    if (family == AF_INET6 && length >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
            (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes);
            (void)setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
        }
    } else if (family == AF_INET && length >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        if (v4.sin_addr.s_addr == htonl(INADDR_ANY))
            (void)setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
    }
    // SO_REUSEADDR is not set: on UDP it would let a second gateway take this one's datagrams.
    if (bind(descriptor, address, (socklen_t)length) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

static struct in6_addr in6(uint64_t high, uint64_t low) {
    struct in6_addr address;
    uint64_t words[2] = {htobe64(high), htobe64(low)};
    memcpy(&address, words, sizeof address);
    return address;
}

typedef struct {
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct iovec data;
} parts;

static void set_local(struct msghdr *message, parts *parts, const datagrams_outgoing *datagram, bool is_v6) {
    message->msg_control = parts->control;
    message->msg_controllen = sizeof parts->control;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (is_v6) {
        struct in6_pktinfo info = {.ipi6_addr = in6(datagram->local_high, datagram->local_low)};
        header->cmsg_level = IPPROTO_IPV6;
        header->cmsg_type = IPV6_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(header), &info, sizeof info);
        message->msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl((uint32_t)datagram->local_low)};
        header->cmsg_level = IPPROTO_IP;
        header->cmsg_type = IP_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(header), &info, sizeof info);
        message->msg_controllen = CMSG_SPACE(sizeof info);
    }
}

static void set(struct msghdr *message, parts *parts, const char *bytes, const datagrams_outgoing *datagram, bool is_v6) {
    memset(message, 0, sizeof *message);
    if (is_v6) {
        parts->peer.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6,
            .sin6_port = htons(datagram->port),
            .sin6_addr = in6(datagram->high, datagram->low),
            .sin6_scope_id = datagram->scope,
        };
        message->msg_namelen = sizeof parts->peer.v6;
    } else {
        parts->peer.v4 = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons(datagram->port),
            .sin_addr.s_addr = htonl((uint32_t)datagram->low),
        };
        message->msg_namelen = sizeof parts->peer.v4;
    }
    message->msg_name = &parts->peer;
    parts->data = (struct iovec){.iov_base = (char *)bytes + datagram->offset, .iov_len = datagram->count};
    message->msg_iov = &parts->data;
    message->msg_iovlen = 1;
    if (datagram->local_high != 0 || datagram->local_low != 0) set_local(message, parts, datagram, is_v6);
}

datagrams_result datagrams_send(
    int descriptor, bool is_v6, const void *bytes, const datagrams_outgoing *datagrams, int count
) {
    datagrams_result result = {0, 0, 0};
    struct mmsghdr messages[BATCH];
    parts storage[BATCH];
    while (result.done < count) {
        int batch = count - result.done < BATCH ? count - result.done : BATCH;
        for (int i = 0; i < batch; i++)
            set(&messages[i].msg_hdr, &storage[i], bytes, &datagrams[result.done + i], is_v6);
        int sent = sendmmsg(descriptor, messages, (unsigned)batch, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            result.done += sent;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return result;
        // The error of the first, or of one before that an ICMP message told of: once more, and without the address, which the host may not
        // have any more.
        messages[0].msg_hdr.msg_control = NULL;
        messages[0].msg_hdr.msg_controllen = 0;
        if (sendmsg(descriptor, &messages[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) return result;
            result.lost++;
            result.error = errno;
        }
        result.done++;
    }
    return result;
}

static void read6(const struct in6_addr *address, uint64_t *high, uint64_t *low) {
    uint64_t words[2];
    memcpy(words, address, sizeof words);
    *high = be64toh(words[0]);
    *low = be64toh(words[1]);
}

static uint64_t mapped(uint32_t address) { return (uint64_t)0xFFFF << 32 | ntohl(address); }

static void read_local(struct msghdr *message, datagrams_incoming *datagram) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof info);
            if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) continue;  // IP_PKTINFO says more.
            read6(&info.ipi6_addr, &datagram->local_high, &datagram->local_low);
            datagram->is_group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
        } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof info);
            datagram->local_high = 0;
            datagram->local_low = mapped(info.ipi_spec_dst.s_addr);
            // A broadcast's, too, differs from the host's own.
            datagram->is_group = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
        }
    }
}

int datagrams_receive(int descriptor, void *bytes, size_t each, datagrams_incoming *datagrams, int count) {
    struct mmsghdr messages[BATCH];
    parts storage[BATCH];
    if (count > BATCH) count = BATCH;
    for (int i = 0; i < count; i++) {
        storage[i].data = (struct iovec){.iov_base = (char *)bytes + (size_t)i * each, .iov_len = each};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &storage[i].peer,
            .msg_namelen = sizeof storage[i].peer,
            .msg_iov = &storage[i].data,
            .msg_iovlen = 1,
            .msg_control = storage[i].control,
            .msg_controllen = sizeof storage[i].control,
        };
    }
    int received = recvmmsg(descriptor, messages, (unsigned)count, MSG_DONTWAIT, NULL);
    if (received < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    for (int i = 0; i < received; i++) {
        struct msghdr *message = &messages[i].msg_hdr;
        datagrams_incoming *datagram = &datagrams[i];
        memset(datagram, 0, sizeof *datagram);
        datagram->count = messages[i].msg_len;
        datagram->is_cut = (message->msg_flags & MSG_TRUNC) != 0;
        if (storage[i].peer.v4.sin_family == AF_INET6) {
            read6(&storage[i].peer.v6.sin6_addr, &datagram->high, &datagram->low);
            datagram->port = ntohs(storage[i].peer.v6.sin6_port);
            datagram->scope = storage[i].peer.v6.sin6_scope_id;
        } else {
            datagram->low = mapped(storage[i].peer.v4.sin_addr.s_addr);
            datagram->port = ntohs(storage[i].peer.v4.sin_port);
        }
        read_local(message, datagram);
    }
    return received;
}

int datagrams_join4(int descriptor, uint32_t address, unsigned interface) {
    struct ip_mreqn request = {.imr_multiaddr.s_addr = htonl(address), .imr_ifindex = (int)interface};
    return setsockopt(descriptor, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0 ? 0 : -errno;
}

int datagrams_join6(int descriptor, uint64_t high, uint64_t low, unsigned interface) {
    struct ipv6_mreq request = {.ipv6mr_multiaddr = in6(high, low), .ipv6mr_interface = interface};
    return setsockopt(descriptor, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request) == 0 ? 0 : -errno;
}
