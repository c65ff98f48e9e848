// Packet sockets, TUN/TAP and rtnetlink: the structures come from the kernel's own headers; what follows are the
// few pieces that Swift cannot express (unions, variadic calls, macros that walk netlink messages).
#pragma once
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>

#include "files.h"

// One message of a sendmmsg(2) call; the same layout as `struct mmsghdr`.
struct weft_message {
    struct msghdr header;
    unsigned int length;
};

static inline int weft_send_messages(int fd, struct weft_message *messages, unsigned int count) {
    // By number: the C library declares sendmmsg only with _GNU_SOURCE, which Foundation's modules do not define, and all
    // modules must see the same declarations.
    return (int)syscall(SYS_sendmmsg, fd, messages, count, MSG_DONTWAIT);
}

static inline int weft_set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value);
}

static inline int weft_bind_packet(int fd, int index, uint16_t protocol) {
    struct sockaddr_ll address;
    memset(&address, 0, sizeof address);
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = index;
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

// Index of the device that a packet socket is bound to, -1 once that device was deleted.
static inline int weft_packet_bound_index(int fd) {
    struct sockaddr_ll address;
    socklen_t length = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &length) == 0 ? address.sll_ifindex : -1;
}

static inline int weft_packet_promiscuous(int fd, int index) {
    struct packet_mreq request;
    memset(&request, 0, sizeof request);
    request.mr_ifindex = index;
    request.mr_type = PACKET_MR_PROMISC;
    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}

// Frames that the kernel could not put into the ring since the last call.
static inline uint32_t weft_packet_drops(int fd) {
    struct tpacket_stats statistics;
    socklen_t length = sizeof statistics;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) != 0) return 0;
    return statistics.tp_drops;
}

// Fetches and clears a pending error of the socket, which otherwise keeps it readable.
static inline int weft_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

// Network device requests; each returns 0, or -1 with errno. `fd` is any socket.
static inline void weft_device_name(struct ifreq *request, const char *name) {
    memset(request, 0, sizeof *request);
    strncpy(request->ifr_name, name, IFNAMSIZ - 1);
}

static inline int weft_device_index(int fd, const char *name, int *index) {
    struct ifreq request;
    weft_device_name(&request, name);
    if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return -1;
    *index = request.ifr_ifindex;
    return 0;
}

static inline int weft_device_flags(int fd, const char *name, unsigned int *flags) {
    struct ifreq request;
    weft_device_name(&request, name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return -1;
    *flags = (unsigned short)request.ifr_flags;
    return 0;
}

static inline int weft_device_set_up(int fd, const char *name, _Bool up) {
    struct ifreq request;
    weft_device_name(&request, name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return -1;
    if (((request.ifr_flags & IFF_UP) != 0) == up) return 0;
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

static inline int weft_device_mtu(int fd, const char *name, int *mtu) {
    struct ifreq request;
    weft_device_name(&request, name);
    if (ioctl(fd, SIOCGIFMTU, &request) != 0) return -1;
    *mtu = request.ifr_mtu;
    return 0;
}

static inline int weft_device_set_mtu(int fd, const char *name, int mtu) {
    struct ifreq request;
    weft_device_name(&request, name);
    request.ifr_mtu = mtu;
    return ioctl(fd, SIOCSIFMTU, &request);
}

static inline int weft_device_address(int fd, const char *name, uint8_t address[6]) {
    struct ifreq request;
    weft_device_name(&request, name);
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) return -1;
    memcpy(address, request.ifr_hwaddr.sa_data, 6);
    return 0;
}

static inline int weft_device_set_address(int fd, const char *name, const uint8_t address[6]) {
    struct ifreq request;
    weft_device_name(&request, name);
    request.ifr_hwaddr.sa_family = 1;
    memcpy(request.ifr_hwaddr.sa_data, address, 6);
    return ioctl(fd, SIOCSIFHWADDR, &request);
}

// Whether the cable carries a signal: 1 or 0; -1 if the driver cannot tell. Unlike IFF_RUNNING it is never late.
static inline int weft_device_carrier(int fd, const char *name) {
    struct ifreq request;
    struct ethtool_value value;
    weft_device_name(&request, name);
    memset(&value, 0, sizeof value);
    value.cmd = ETHTOOL_GLINK;
    request.ifr_data = (char *)&value;
    if (ioctl(fd, SIOCETHTOOL, &request) != 0) return -1;
    return value.data != 0;
}

// Megabits a second, 0 if unknown.
static inline uint32_t weft_device_speed(int fd, const char *name) {
    struct ifreq request;
    struct ethtool_cmd command;
    weft_device_name(&request, name);
    memset(&command, 0, sizeof command);
    command.cmd = ETHTOOL_GSET;
    request.ifr_data = (char *)&command;
    if (ioctl(fd, SIOCETHTOOL, &request) != 0) return 0;
    uint32_t speed = ethtool_cmd_speed(&command);
    return speed == 0xffffffffu || speed == 0xffffu ? 0 : speed;
}

// Attaches a descriptor of /dev/net/tun to the device `name`.
static inline int weft_tap_attach(int fd, const char *name, int flags) {
    struct ifreq request;
    weft_device_name(&request, name);
    request.ifr_flags = (short)flags;
    return ioctl(fd, TUNSETIFF, &request);
}

// Whether the device behind a descriptor of /dev/net/tun still exists, in whatever namespace.
static inline _Bool weft_tap_attached(int fd) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    return ioctl(fd, TUNGETIFF, &request) == 0;
}

static inline int weft_tap_offload(int fd, unsigned int features) { return ioctl(fd, TUNSETOFFLOAD, (unsigned long)features); }
static inline int weft_tap_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size); }

// A non-blocking rtnetlink socket that hears of changes to network devices.
static inline int weft_link_events_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -1;
    struct sockaddr_nl address;
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

// Walks the messages in `buffer`: puts index and name of the next changed device into `*index` and `name` and advances
// `*at`; 0 at the end.
static inline int weft_link_events_next(
    const char *buffer, uint32_t length, uint32_t *at, int *index, char name[IFNAMSIZ]) {
    while (*at < length) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)(buffer + *at);
        uint32_t left = length - *at;
        if (!NLMSG_OK(message, left)) return 0;
        *at += NLMSG_ALIGN(message->nlmsg_len);
        if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) continue;
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg))) continue;
        const struct ifinfomsg *link = (const struct ifinfomsg *)NLMSG_DATA(message);
        const struct rtattr *attribute = IFLA_RTA(link);
        int rest = (int)IFLA_PAYLOAD(message);
        for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest)) {
            if (attribute->rta_type != IFLA_IFNAME) continue;
            size_t size = RTA_PAYLOAD(attribute);
            if (size > IFNAMSIZ - 1) size = IFNAMSIZ - 1;
            memset(name, 0, IFNAMSIZ);
            memcpy(name, RTA_DATA(attribute), size);
            *index = link->ifi_index;
            return 1;
        }
    }
    return 0;
}
