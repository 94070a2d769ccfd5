/*
 * What a C compiler makes of Xen's public headers: sizes, offsets and constants.
 *
 * This is compiled to assembly and never run: each value is a line of text in the assembly, put
 * there as an "i" operand. So one compiler answers for two machines, and the i386 answer needs no
 * 32-bit C library:
 *
 *     gcc -S -O1 -ffreestanding -m64 -o - abi_values.c      the ABIs x86_64 and arm
 *     gcc -S -O1 -ffreestanding -m32 -o - abi_values.c      the ABI x86_32
 *
 * AbiValuesTest does both and compares the lines with src/test/resources/abi-values.txt.
 * A line is "->struct.field offset size", "->struct - size" or "->NAME value".
 */
#define __XEN_INTERFACE_VERSION__ 0x00040e00
typedef __SIZE_TYPE__ size_t;
#include <stdint.h>
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/ring.h>
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/io/9pfs.h>
#include <xen/io/pvcalls.h>

#define VALUE(name, value) __asm__ volatile("\n->" #name " %c0" : : "i"(value))
#define CONSTANT(name) __asm__ volatile("\n->" #name " %c0" : : "i"(name))
#define STRUCT(type) \
    __asm__ volatile("\n->" #type " - %c0" : : "i"(sizeof(struct type)))
#define FIELD_AS(type, field, name)                                   \
    __asm__ volatile("\n->" #type "." #name " %c0 %c1"                \
                     : : "i"(offsetof(struct type, field)),           \
                         "i"(sizeof(((struct type *)0)->field)))
#define FIELD(type, field) FIELD_AS(type, field, field)
#define START(type, field) /* of an array without a length */         \
    __asm__ volatile("\n->" #type "." #field " %c0 0" : : "i"(offsetof(struct type, field)))
#define RING(type)                                                    \
    VALUE(type.entry_size, sizeof(union type##_sring_entry));         \
    VALUE(type.entries.1, __CONST_RING_SIZE(type, 4096));             \
    VALUE(type.entries.2, __CONST_RING_SIZE(type, 8192));             \
    VALUE(type.entries.4, __CONST_RING_SIZE(type, 16384));            \
    VALUE(type.entries.8, __CONST_RING_SIZE(type, 32768));            \
    VALUE(type.entries.16, __CONST_RING_SIZE(type, 65536))

void values(void)
{
    FIELD(blkif_sring, req_prod);
    FIELD(blkif_sring, req_event);
    FIELD(blkif_sring, rsp_prod);
    FIELD(blkif_sring, rsp_event);
    FIELD(blkif_sring, pvt);
    FIELD(blkif_sring, __pad);
    START(blkif_sring, ring);
    RING(blkif);
    RING(netif_tx);
    RING(netif_rx);
    RING(xen_netif_ctrl);

    STRUCT(blkif_request_segment);
    FIELD(blkif_request_segment, gref);
    FIELD(blkif_request_segment, first_sect);
    FIELD(blkif_request_segment, last_sect);

    STRUCT(blkif_request);
    FIELD(blkif_request, operation);
    FIELD(blkif_request, nr_segments);
    FIELD(blkif_request, handle);
    FIELD(blkif_request, id);
    FIELD(blkif_request, sector_number);
    FIELD(blkif_request, seg);

    STRUCT(blkif_request_discard);
    FIELD(blkif_request_discard, operation);
    FIELD(blkif_request_discard, flag);
    FIELD(blkif_request_discard, handle);
    FIELD(blkif_request_discard, id);
    FIELD(blkif_request_discard, sector_number);
    FIELD(blkif_request_discard, nr_sectors);

    STRUCT(blkif_request_indirect);
    FIELD(blkif_request_indirect, operation);
    FIELD(blkif_request_indirect, indirect_op);
    FIELD(blkif_request_indirect, nr_segments);
    FIELD(blkif_request_indirect, id);
    FIELD(blkif_request_indirect, sector_number);
    FIELD(blkif_request_indirect, handle);
    FIELD(blkif_request_indirect, indirect_grefs);
#ifdef __i386__
    FIELD(blkif_request_indirect, pad);
#endif

    STRUCT(blkif_response);
    FIELD(blkif_response, id);
    FIELD(blkif_response, operation);
    FIELD(blkif_response, status);

    CONSTANT(BLKIF_OP_READ);
    CONSTANT(BLKIF_OP_WRITE);
    CONSTANT(BLKIF_OP_WRITE_BARRIER);
    CONSTANT(BLKIF_OP_FLUSH_DISKCACHE);
    CONSTANT(BLKIF_OP_RESERVED_1);
    CONSTANT(BLKIF_OP_DISCARD);
    CONSTANT(BLKIF_OP_INDIRECT);
    CONSTANT(BLKIF_DISCARD_SECURE);
    CONSTANT(BLKIF_MAX_SEGMENTS_PER_REQUEST);
    CONSTANT(BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
    CONSTANT(BLKIF_RSP_EOPNOTSUPP);
    CONSTANT(BLKIF_RSP_ERROR);
    CONSTANT(BLKIF_RSP_OKAY);
    CONSTANT(VDISK_CDROM);
    CONSTANT(VDISK_REMOVABLE);
    CONSTANT(VDISK_READONLY);

    STRUCT(netif_tx_request);
    FIELD(netif_tx_request, gref);
    FIELD(netif_tx_request, offset);
    FIELD(netif_tx_request, flags);
    FIELD(netif_tx_request, id);
    FIELD(netif_tx_request, size);
    STRUCT(netif_tx_response);
    FIELD(netif_tx_response, id);
    FIELD(netif_tx_response, status);
    STRUCT(netif_rx_request);
    FIELD(netif_rx_request, id);
    FIELD(netif_rx_request, pad);
    FIELD(netif_rx_request, gref);
    STRUCT(netif_rx_response);
    FIELD(netif_rx_response, id);
    FIELD(netif_rx_response, offset);
    FIELD(netif_rx_response, flags);
    FIELD(netif_rx_response, status);
    STRUCT(netif_extra_info);
    FIELD(netif_extra_info, type);
    FIELD(netif_extra_info, flags);
    FIELD_AS(netif_extra_info, u.gso.size, gso.size);
    FIELD_AS(netif_extra_info, u.gso.type, gso.type);
    FIELD_AS(netif_extra_info, u.gso.pad, gso.pad);
    FIELD_AS(netif_extra_info, u.gso.features, gso.features);
    FIELD_AS(netif_extra_info, u.mcast.addr, mcast.addr);
    FIELD_AS(netif_extra_info, u.hash.type, hash.type);
    FIELD_AS(netif_extra_info, u.hash.algorithm, hash.algorithm);
    FIELD_AS(netif_extra_info, u.hash.value, hash.value);
    STRUCT(xen_netif_ctrl_request);
    FIELD(xen_netif_ctrl_request, id);
    FIELD(xen_netif_ctrl_request, type);
    FIELD(xen_netif_ctrl_request, data);
    STRUCT(xen_netif_ctrl_response);
    FIELD(xen_netif_ctrl_response, id);
    FIELD(xen_netif_ctrl_response, type);
    FIELD(xen_netif_ctrl_response, status);
    FIELD(xen_netif_ctrl_response, data);
    STRUCT(xen_netif_gref);
    FIELD(xen_netif_gref, ref);
    FIELD(xen_netif_gref, flags);
    FIELD(xen_netif_gref, status);

    CONSTANT(XEN_NETIF_NR_SLOTS_MIN);
    CONSTANT(XEN_NETIF_MAX_TX_SIZE);
    CONSTANT(NETTXF_csum_blank);
    CONSTANT(NETTXF_data_validated);
    CONSTANT(NETTXF_more_data);
    CONSTANT(NETTXF_extra_info);
    CONSTANT(NETRXF_data_validated);
    CONSTANT(NETRXF_csum_blank);
    CONSTANT(NETRXF_more_data);
    CONSTANT(NETRXF_extra_info);
    CONSTANT(NETRXF_gso_prefix);
    CONSTANT(NETIF_RSP_DROPPED);
    CONSTANT(NETIF_RSP_ERROR);
    CONSTANT(NETIF_RSP_OKAY);
    CONSTANT(NETIF_RSP_NULL);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_NONE);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_GSO);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_MCAST_ADD);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_MCAST_DEL);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_HASH);
    CONSTANT(XEN_NETIF_EXTRA_TYPE_MAX);
    CONSTANT(XEN_NETIF_EXTRA_FLAG_MORE);
    CONSTANT(XEN_NETIF_GSO_TYPE_NONE);
    CONSTANT(XEN_NETIF_GSO_TYPE_TCPV4);
    CONSTANT(XEN_NETIF_GSO_TYPE_TCPV6);
    CONSTANT(XEN_NETIF_CTRL_TYPE_INVALID);
    CONSTANT(XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS);
    CONSTANT(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS);
    CONSTANT(XEN_NETIF_CTRL_TYPE_SET_HASH_KEY);
    CONSTANT(XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE);
    CONSTANT(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE);
    CONSTANT(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING);
    CONSTANT(XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM);
    CONSTANT(XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE);
    CONSTANT(XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING);
    CONSTANT(XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING);
    CONSTANT(XEN_NETIF_CTRL_STATUS_SUCCESS);
    CONSTANT(XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
    CONSTANT(XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    CONSTANT(XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
    CONSTANT(XEN_NETIF_CTRL_HASH_TYPE_IPV4);
    CONSTANT(XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
    CONSTANT(XEN_NETIF_CTRL_HASH_TYPE_IPV6);
    CONSTANT(XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP);
    CONSTANT(XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
    CONSTANT(XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
    CONSTANT(XEN_NETIF_CTRLF_GREF_readonly);

    STRUCT(grant_entry_v1);
    FIELD(grant_entry_v1, flags);
    FIELD(grant_entry_v1, domid);
    FIELD(grant_entry_v1, frame);
    CONSTANT(GTF_invalid);
    CONSTANT(GTF_permit_access);
    CONSTANT(GTF_accept_transfer);
    CONSTANT(GTF_transitive);
    CONSTANT(GTF_type_mask);
    CONSTANT(GTF_readonly);
    CONSTANT(GTF_reading);
    CONSTANT(GTF_writing);
    CONSTANT(GTF_PWT);
    CONSTANT(GTF_PCD);
    CONSTANT(GTF_PAT);
    CONSTANT(GTF_sub_page);

    STRUCT(xencons_interface);
    FIELD(xencons_interface, in);
    FIELD(xencons_interface, out);
    FIELD(xencons_interface, in_cons);
    FIELD(xencons_interface, in_prod);
    FIELD(xencons_interface, out_cons);
    FIELD(xencons_interface, out_prod);

    STRUCT(xenstore_domain_interface);
    FIELD(xenstore_domain_interface, req);
    FIELD(xenstore_domain_interface, rsp);
    FIELD(xenstore_domain_interface, req_cons);
    FIELD(xenstore_domain_interface, req_prod);
    FIELD(xenstore_domain_interface, rsp_cons);
    FIELD(xenstore_domain_interface, rsp_prod);
    FIELD(xenstore_domain_interface, server_features);
    FIELD(xenstore_domain_interface, connection);
    FIELD(xenstore_domain_interface, error);
    CONSTANT(XENSTORE_RING_SIZE);
    CONSTANT(XENSTORE_SERVER_FEATURE_RECONNECTION);
    CONSTANT(XENSTORE_SERVER_FEATURE_ERROR);
    CONSTANT(XENSTORE_CONNECTED);
    CONSTANT(XENSTORE_RECONNECT);
    CONSTANT(XENSTORE_ERROR_NONE);
    CONSTANT(XENSTORE_ERROR_COMM);
    CONSTANT(XENSTORE_ERROR_RINGIDX);
    CONSTANT(XENSTORE_ERROR_PROTO);

    STRUCT(xsd_sockmsg);
    FIELD(xsd_sockmsg, type);
    FIELD(xsd_sockmsg, req_id);
    FIELD(xsd_sockmsg, tx_id);
    FIELD(xsd_sockmsg, len);
    CONSTANT(XENSTORE_PAYLOAD_MAX);
    CONSTANT(XENSTORE_ABS_PATH_MAX);
    CONSTANT(XENSTORE_REL_PATH_MAX);
    CONSTANT(XS_CONTROL);
    CONSTANT(XS_DIRECTORY);
    CONSTANT(XS_READ);
    CONSTANT(XS_GET_PERMS);
    CONSTANT(XS_WATCH);
    CONSTANT(XS_UNWATCH);
    CONSTANT(XS_TRANSACTION_START);
    CONSTANT(XS_TRANSACTION_END);
    CONSTANT(XS_INTRODUCE);
    CONSTANT(XS_RELEASE);
    CONSTANT(XS_GET_DOMAIN_PATH);
    CONSTANT(XS_WRITE);
    CONSTANT(XS_MKDIR);
    CONSTANT(XS_RM);
    CONSTANT(XS_SET_PERMS);
    CONSTANT(XS_WATCH_EVENT);
    CONSTANT(XS_ERROR);
    CONSTANT(XS_IS_DOMAIN_INTRODUCED);
    CONSTANT(XS_RESUME);
    CONSTANT(XS_SET_TARGET);
    CONSTANT(XS_RESET_WATCHES);
    CONSTANT(XS_DIRECTORY_PART);
    CONSTANT(XS_TYPE_COUNT);
    CONSTANT(XS_INVALID);

    FIELD(xen_9pfs_data_intf, in_cons);
    FIELD(xen_9pfs_data_intf, in_prod);
    FIELD(xen_9pfs_data_intf, pad1);
    FIELD(xen_9pfs_data_intf, out_cons);
    FIELD(xen_9pfs_data_intf, out_prod);
    FIELD(xen_9pfs_data_intf, pad2);
    FIELD(xen_9pfs_data_intf, ring_order);
    START(xen_9pfs_data_intf, ref);
    FIELD(pvcalls_data_intf, in_cons);
    FIELD(pvcalls_data_intf, in_prod);
    FIELD(pvcalls_data_intf, in_error);
    FIELD(pvcalls_data_intf, pad1);
    FIELD(pvcalls_data_intf, out_cons);
    FIELD(pvcalls_data_intf, out_prod);
    FIELD(pvcalls_data_intf, out_error);
    FIELD(pvcalls_data_intf, pad2);
    FIELD(pvcalls_data_intf, ring_order);
    START(pvcalls_data_intf, ref);
    VALUE(XEN_FLEX_RING_SIZE.0, XEN_FLEX_RING_SIZE(0));
    VALUE(XEN_FLEX_RING_SIZE.1, XEN_FLEX_RING_SIZE(1));
    VALUE(XEN_FLEX_RING_SIZE.9, XEN_FLEX_RING_SIZE(9));
}
