# SPDX-License-Identifier: Apache-2.0
"""Command lines whose texts are compared: what each option says when it is used rightly, wrongly, twice, with others."""

SIZE = 1048576
SECRET = "secret,id=s,data=pw"

# name, format, arguments of create, pattern that is written (or a kind of content)
FIXTURES = (
    ("a.raw", "raw", (), 65), ("b.raw", "raw", (), 65), ("other.raw", "raw", (), 66),
    ("a.qcow2", "qcow2", (), 65), ("same.qcow2", "qcow2", (), 65), ("empty.qcow2", "qcow2", (), ""),
    ("v2.qcow2", "qcow2", ("-o", "compat=0.10"), 65), ("ext.qcow2", "qcow2", ("-o", "extended_l2=on"), 65),
    ("over.qcow2", "qcow2", ("-b", "a.qcow2", "-F", "qcow2"), 70),
    ("third.qcow2", "qcow2", ("-b", "over.qcow2", "-F", "qcow2"), ""),
    ("marked.qcow2", "qcow2", ("-b", "a.qcow2", "-F", "qcow2"), "bitmap"),
    ("markedgone.qcow2", "qcow2", ("-u", "-b", "nofile", "-F", "qcow2"), "bitmap"),
    ("marks.qcow2", "qcow2", (), "bitmaps"), ("badmarks.qcow2", "qcow2", (), "bitmaps in use"), ("secondmark.qcow2", "qcow2", (), "bitmap two"),
    ("overraw.qcow2", "qcow2", ("-b", "a.raw", "-F", "raw"), ""),
    ("gone.qcow2", "qcow2", ("-u", "-b", "nofile", "-F", "raw"), ""),
    ("goneq.qcow2", "qcow2", ("-u", "-b", "nofile", "-F", "qcow2"), ""),
    ("wrongfmt.qcow2", "qcow2", ("-u", "-b", "a.raw", "-F", "qcow2"), ""),
    ("noproto.qcow2", "qcow2", ("-u", "-b", "foo:bar", "-F", "raw"), ""),
    ("badjson.qcow2", "qcow2", ("-u", "-b", "json:{", "-F", "raw"), ""),
    ("data.qcow2", "qcow2", ("-o", "data_file=data.bin"), 65),
    ("dataraw.qcow2", "qcow2", ("-o", "data_file=dataraw.bin,data_file_raw=on"), 65),
    ("sn.qcow2", "qcow2", (), "snapshots"),
    ("aes.qcow2", "qcow2", ("--object", SECRET, "-o", "encrypt.format=aes,encrypt.key-secret=s"), ""),
    ("luks.qcow2", "qcow2", ("--object", SECRET, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"), ""),
    ("disk.luks", "luks", ("--object", SECRET, "-o", "key-secret=s,iter-time=10"), ""),
)
# Files that are no images, or no longer whole ones.
PREPARE = r"""
rm -rf samples
printf 'just text\n' >note.txt
: >empty.bin
printf '[inject-error]\nevent = "read_aio"\n' >rules
printf x >one.byte
head -c 1000 /dev/zero >odd.raw
head -c 100 a.qcow2 >short.qcow2
head -c 70000 a.qcow2 >cut.qcow2
cp a.qcow2 v99.qcow2; printf '\0\0\0\143' | dd of=v99.qcow2 bs=1 seek=4 conv=notrunc status=none
cp a.qcow2 unknown.qcow2; printf '\200\0\0\0\0\0\0\100' | dd of=unknown.qcow2 bs=1 seek=72 conv=notrunc status=none
cp a.qcow2 corrupt.qcow2; printf '\2' | dd of=corrupt.qcow2 bs=1 seek=79 conv=notrunc status=none
cp a.qcow2 dirty.qcow2; printf '\1' | dd of=dirty.qcow2 bs=1 seek=79 conv=notrunc status=none
sed s/qcow2/nosuc/ wrongfmt.qcow2 >nosuchfmt.qcow2
cp data.qcow2 nodata.qcow2; sed -i s/data.bin/gone.bin/ nodata.qcow2
cp a.qcow2 'with space.qcow2'; cp a.qcow2 'comma,name.qcow2'; cp a.qcow2 'co:lon.qcow2'; cp a.qcow2 ./-dash.qcow2
mkdir folder; cp a.qcow2 folder/in.qcow2; cp a.raw readonly.raw; chmod 400 readonly.raw
cp empty.qcow2 large.qcow2; printf '\0\040\0\0' | dd of=large.qcow2 bs=1 seek=28 conv=notrunc status=none
ln -s a.qcow2 link.qcow2; ln -s nowhere dangling
cp over.qcow2 third.qcow2 folder; cp a.qcow2 folder/a.qcow2
poke() { cp "$1" "$2"; printf "$4" | dd of="$2" bs=1 seek="$3" conv=notrunc status=none; }
poke a.qcow2 badl1.qcow2 196608 '\200\0\0\0\0\004\052\0'
poke a.qcow2 badzero.qcow2 262152 '\200\0\0\0\0\005\052\001'
poke a.qcow2 farcluster.qcow2 262152 '\200\0\0\377\377\377\0\0'
poke a.qcow2 nocluster.qcow2 262152 '\277\377\377\377\377\377\0\0'
poke a.qcow2 noref.qcow2 56 '\0\0\0\0'
poke a.qcow2 farblock.qcow2 65544 '\0\377\377\377\0\0\0\0'
poke a.qcow2 oddfirst.qcow2 65542 '\002'
poke a.qcow2 oddblock.qcow2 65544 '\0\0\0\0\0\0\002\0'
poke a.qcow2 autoclear.qcow2 88 '\200\0\0\0\0\0\0\0'
poke sn.qcow2 badsn.qcow2 $(od -An -td8 --endian=big -j64 -N8 sn.qcow2) '\0\0\0\0\0\100\002\0'
"""
SIZES = ("1.5k", "0x400", "1e3", "10B", "1b", "1KB", "1KiB", "100E", "8E", "7E", "-1", "1.5", " 1M", "1,5M", "1Z", "foo", "", "0", "1M ", "+1M",
         "1m", "1t", "0x10k", "0x", "1.5M", "1.0000001k", ".5k", "1.", "1.k", "9223372036854775807", "9223372036854775808", "18446744073709551616",
         "inf", "nan", "1kk", "1 k", "0.1b", "07", "2T")
GLOBAL = """
bogus
-V
--version
-x
--bogus
--version info
-V bogus
--vers
-T
-T nosuch-event
help
INFO
""".strip().split("\n")
INFO = """
info
info a b
info a.raw
info a.qcow2 extra
info -f qcow2 a.raw
info -f raw a.qcow2
info -f nosuch a.raw
info -f
info -f raw
info --output=JSON a.raw
info --output= a.raw
info --output a.raw
info --output=human a.qcow2
info --output json a.qcow2
info --out=json a.qcow2
info --o=json a.qcow2
info --outputx=json a.qcow2
info -U a.qcow2
info --force-share a.qcow2
info --force a.qcow2
info -U --output=json over.qcow2
info --backing-chain third.qcow2
info --backing-chain --output=json third.qcow2
info --backing third.qcow2
info --backing-chain gone.qcow2
info --backing-chain --output=json gone.qcow2
info --backing-chain goneq.qcow2
info --backing-chain wrongfmt.qcow2
info --backing-chain nosuchfmt.qcow2
info --backing-chain noproto.qcow2
info --backing-chain badjson.qcow2
info gone.qcow2
info wrongfmt.qcow2
info noproto.qcow2
info --output=json noproto.qcow2
info badjson.qcow2
info --output=json badjson.qcow2
info overraw.qcow2
info data.qcow2
info --output=json data.qcow2
info dataraw.qcow2
info nodata.qcow2
info sn.qcow2
info --output=json sn.qcow2
info v2.qcow2
info v99.qcow2
info unknown.qcow2
info corrupt.qcow2
info --output=json corrupt.qcow2
info dirty.qcow2
info --output=json dirty.qcow2
info short.qcow2
info -f qcow2 short.qcow2
info cut.qcow2
info packed.qcow2
info note.txt
info empty.bin
info -f qcow2 empty.bin
info one.byte
info odd.raw
info .
info folder
info folder/
info folder/in.qcow2
info folder/../a.qcow2
info ./co:lon.qcow2
info co:lon.qcow2
info file:co:lon.qcow2
info file:a.qcow2
info file:
info file:nofile
info link.qcow2
info dangling
info nofile
info -f qcow2 nofile
info nodir/nofile
info /dev/null
info /dev/zero
info -f qcow2 /dev/null
info host_device:/dev/null
info host_device:a.raw
info host_cdrom:/dev/null
info file:/dev/null
info foo:bar
info nosuch:
info :a
info comma,name.qcow2
info -dash.qcow2
info -- -dash.qcow2
info ./-dash.qcow2
info null-co://
info null-aio://
info --output=json null-co://
info null-co://x
info -1
info -x a.raw
info --image-opts driver=raw,size=1M,offset=512,file.filename=a.qcow2
info --image-opts driver=qcow2,file.filename=a.qcow2
info --image-opts driver=qcow2,file.driver=file,file.filename=a.qcow2
info --image-opts --output=json driver=raw,size=64k,offset=64k,file.filename=a.raw
info --image-opts file.filename=a.qcow2
info --image-opts filename=a.qcow2
info --image-opts a.qcow2
info --image-opts driver=file,filename=a.qcow2
info --image-opts driver=qcow2
info --image-opts driver=qcow2,file=a.qcow2
info --image-opts driver=nosuch,file.filename=a.qcow2
info --image-opts foo=bar
info --image-opts driver=raw,nosuch=1,file.filename=a.raw
info --image-opts driver=qcow2,nosuch=1,file.filename=a.qcow2
info --image-opts driver=qcow2,file.nosuch=1,file.filename=a.qcow2
info --image-opts driver=raw,size=foo,file.filename=a.raw
info --image-opts driver=raw,size=2M,file.filename=a.raw
info --image-opts driver=raw,offset=2M,file.filename=a.raw
info --image-opts driver=raw,offset=512k,file.filename=a.raw
info --image-opts driver=raw,offset=100,file.filename=a.raw
info --image-opts driver=raw,offset=1,size=1000,file.filename=a.raw
info --image-opts driver=qcow2,backing=,file.filename=over.qcow2
info --image-opts driver=qcow2,backing.driver=raw,backing.file.filename=a.raw,file.filename=over.qcow2
info --image-opts driver=qcow2,backing=a.qcow2,file.filename=over.qcow2
info --image-opts driver=qcow2,lazy-refcounts=on,file.filename=a.qcow2
info --image-opts driver=qcow2,lazy-refcounts=maybe,file.filename=a.qcow2
info --image-opts driver=qcow2,overlap-check=all,file.filename=a.qcow2
info --image-opts driver=qcow2,overlap-check=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,l2-cache-size=1M,file.filename=a.qcow2
info --image-opts driver=qcow2,cache-size=1M,l2-cache-size=2M,file.filename=a.qcow2
info --image-opts driver=qcow2,l2-cache-entry-size=3,file.filename=a.qcow2
info --image-opts driver=qcow2,file.locking=off,file.filename=a.qcow2
info --image-opts driver=qcow2,file.locking=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,file.aio=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,file.aio=native,file.filename=a.qcow2
info --image-opts driver=qcow2,file.aio=io_uring,file.filename=a.qcow2
info --image-opts driver=qcow2,cache.direct=on,file.filename=a.qcow2
info --image-opts driver=qcow2,cache.direct=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,read-only=on,file.filename=a.qcow2
info --image-opts driver=qcow2,read-only=off,file.filename=a.qcow2
info --image-opts driver=qcow2,read-only=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,detect-zeroes=on,file.filename=a.qcow2
info --image-opts driver=qcow2,detect-zeroes=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,detect-zeroes=unmap,file.filename=a.qcow2
info --image-opts driver=qcow2,discard=unmap,file.filename=a.qcow2
info --image-opts driver=qcow2,discard=bogus,file.filename=a.qcow2
info --image-opts driver=qcow2,node-name=x,file.filename=a.qcow2
info --image-opts driver=qcow2,node-name=1x,file.filename=a.qcow2
info --image-opts driver=qcow2,node-name=x,file.node-name=x,file.filename=a.qcow2
info --image-opts driver=qcow2,force-share=on,file.filename=a.qcow2
info --image-opts -f qcow2 driver=qcow2,file.filename=a.qcow2
info --image-opts driver=raw,,x
info --image-opts driver=qcow2,file.filename=comma,,name.qcow2
info --image-opts =a
info --image-opts driver
info --image-opts driver=null-co
info --image-opts driver=null-co,size=1M
info --image-opts driver=null-co,size=1M,read-zeroes=on
info --image-opts driver=raw,file.driver=null-co,file.size=1M
info --image-opts driver=qcow2,data-file.driver=raw,data-file.file.filename=a.raw,file.filename=data.qcow2
info --image-opts driver=host_device,filename=a.raw
info --object bogus a.raw
info --object secret,id=s a.raw
info --object secret,id=s,data=x a.raw
info --object secret,data=x a.raw
info --object secret,id=s,file=/nonexist a.raw
info --object secret,id=s,data=x --object secret,id=s,data=y a.raw
info --object secret,id=1,data=x a.raw
info --object nosuch,id=x a.raw
info --object secret,id=s,nosuch=1,data=x a.raw
info --object secret,id=s,data=x,format=bogus a.raw
info --object secret,id=s,data=$$$,format=base64 a.raw
info --object throttle-group,id=t,limits.iops-total=10 a.raw
info --object help
info --object secret,help
""".strip().split("\n")
NAMES = (
    ["info", ""], ["info", "with space.qcow2"], ["info", "--output=json", "with space.qcow2"], ["info", "no such\nfile"],
    ["info", 'json:{"driver":"raw","file":{"driver":"null-co","size":1048576}}'],
    ["info", "--output=json", 'json:{"driver":"raw","file":{"driver":"null-co","size":1048576}}'],
    ["info", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'],
    ["info", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"},"lazy-refcounts":true}'],
    ["info", 'json:{"file":{"driver":"file","filename":"a.qcow2"}}'],
    ["info", 'json:{"file.filename":"a.qcow2"}'],
    ["info", 'json:{"driver":"qcow2","file.driver":"file","file":{"filename":"a.qcow2"}}'],
    ["info", 'json:{"file":{"driver":"raw","offset":512,"size":65536,"file":{"driver":"file","filename":"a.raw"}}}'],
    ["info", 'json:{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"over.qcow2"}}'],
    ["info", "--backing-chain", 'json:{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"over.qcow2"}}'],
    ["info", "--backing-chain", 'json:{"driver":"qcow2","backing":{"driver":"raw","file":{"driver":"file","filename":"a.raw"}},"file":{"driver":"file","filename":"over.qcow2"}}'],
    ["map", 'json:{"driver":"qcow2","backing":{"driver":"raw","file":{"driver":"file","filename":"a.raw"}},"file":{"driver":"file","filename":"over.qcow2"}}'],
    ["map", "--output=json", 'json:{"driver":"raw","offset":65536,"size":131072,"file":{"driver":"file","filename":"a.raw"}}'],
    ["map", 'json:{"driver":"raw","offset":65536,"size":131072,"file":{"driver":"file","filename":"a.raw"}}'],
    ["map", "--output=json", 'json:{"driver":"raw","file":{"driver":"qcow2","file":{"filename":"a.qcow2"}}}'],
    ["map", "--output=json", 'json:{"driver":"raw","size":"128k","file":{"driver":"compress","file":{"driver":"qcow2","file":{"filename":"a.qcow2"}}}}'],
    ["map", "--output=json", 'json:{"driver":"raw","file":{"driver":"qcow2","file":{"filename":"over.qcow2"}}}'],
    ["convert", "-O", "raw", 'json:{"driver":"raw","file":{"driver":"qcow2","file":{"filename":"over.qcow2"}}}', "new"],
    ["measure", "-O", "qcow2", 'json:{"driver":"qcow2","backing":null,"file":{"driver":"file","filename":"over.qcow2"}}'],
    ["info", "json:{bad"], ["info", "json:"], ["info", "json:[]"], ["info", "json:{}"], ["info", "json:1"], ["info", 'json:{"driver":1}'],
    ["info", 'json:{"driver":"qcow2"}'], ["info", 'json:{"driver":"qcow2","file":"a.qcow2"}'], ["info", 'json:{"driver":"qcow2","file":null}'],
    ["info", 'json:{"driver":"qcow2","file":{"driver":"file"}}'],
    ["info", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"'], ["info", 'json:{"driver":"qcow2",}'],
    ["info", 'json:{"driver":"raw","size":"x","file":{"driver":"file","filename":"a.raw"}}'],
    ["info", 'json:{"driver":"raw","size":1.5,"file":{"driver":"file","filename":"a.raw"}}'],
    ["info", 'json:{"driver":"raw","size":true,"file":{"driver":"file","filename":"a.raw"}}'],
    ["info", 'json:{"driver":"raw","nosuch":{},"file":{"driver":"file","filename":"a.raw"}}'],
    ["info", 'json:{"driver":"raw","driver":"qcow2","file":{"driver":"file","filename":"a.raw"}}'],
    ["info", "json:{'driver':'raw','file':{'driver':'file','filename':'a.raw'}}"],
    ["info", "-f", "raw", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'],
    ["info", "-f", "qcow2", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'],
    ["info", "-f", "qcow2", 'json:{"file":{"driver":"file","filename":"a.qcow2"}}'],
    ["create", "-f", "qcow2", "two words", "1M"], ["create", "-f", "qcow2", "it's", "1M"], ["create", "-f", "qcow2", "a,b", "1M"],
    ["create", "-f", "qcow2", "-b", "with space.qcow2", "-F", "qcow2", "x"], ["create", "-f", "qcow2", "-b", "comma,name.qcow2", "-F", "qcow2", "x"],
    ["create", "-f", "qcow2", "-o", "backing_file=comma,,name.qcow2,backing_fmt=qcow2", "x"],
    ["create", "-f", "qcow2", "", "1M"], ["create", "", "1M"], ["convert", "a.raw", ""], ["compare", "a.raw", ""], ["map", ""], ["measure", ""],
    ["create", "-f", "", "x", "1M"], ["create", "-f", "qcow2", "-o", "", "x", "1M"], ["convert", "-O", "", "a.raw", "x"],
    ["create", "-f", "qcow2", "-b", "", "x", "1M"], ["create", "-f", "qcow2", "-b", "", "-F", "qcow2", "x", "1M"], ["convert", "-B", "", "-O", "qcow2", "a.raw", "x"],
    ["create", "-f", "qcow2", "-b", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}', "-F", "qcow2", "x"],
    ["create", "-f", "qcow2", 'json:{"driver":"file","filename":"x"}', "1M"], ["create", "-f", "qcow2", "-b", "x" * 1024, "-F", "raw", "-u", "x", "1M"],
    ["create", "-f", "qcow2", "-u", "-b", "y" * 1023, "-F", "raw", "x", "1M"], ["create", "x" * 300, "1M"], ["info", "x" * 5000],
)
CREATE = """
create
create x
create -f qcow2 x
create x 1M 2M
create -f nosuch x 1M
create -f null-co x 1M
create -f file x 1M
create -f host_device x 1M
create -f throttle x 1M
create -f raw -b a.raw x
create -f raw -b a.raw -F raw x
create -f raw -F raw x 1M
create -f raw x 1M
create -q x 1M
create --quiet -f qcow2 x 1M
create --format=qcow2 x 1M
create --form qcow2 x 1M
create -fqcow2 x 1M
create -f qcow2 x 1M -q
create x 1M -f qcow2
create -f qcow2 -o size=3M x
create -f qcow2 -o size=3M x 4M
create -f raw -o size=3M x
create -f qcow2 -o size=1Z x
create -f qcow2 -o size=-1 x
create -f qcow2 -o preallocation=bogus x 1M
create -f qcow2 -o preallocation= x 1M
create -f raw -o preallocation=metadata x 1M
create -f raw -o preallocation=falloc x 1M
create -f raw -o preallocation=full x 1M
create -f raw -o preallocation=off x 1M
create -f raw -o nocow=on x 1M
create -f raw -o nocow=maybe x 1M
create -f raw -o nocow x 1M
create -f raw -o extent_size_hint=64k x 1M
create -f raw -o extent_size_hint=0 x 1M
create -f raw -o extent_size_hint=1 x 1M
create -f raw -o extent_size_hint=8G x 1M
create -f raw -o nosuch=1 x 1M
create -f raw -o cluster_size=4k x 1M
create -f qcow2 -o nosuch=1 x 1M
create -f qcow2 -o nosuch x 1M
create -f qcow2 -o cluster_size=64k -o cluster_size=128k x 1M
create -f qcow2 -o cluster_size=64K,cluster_size=4M x 1M
create -f qcow2 -o cluster_size=0 x 1M
create -f qcow2 -o cluster_size=511 x 1M
create -f qcow2 -o cluster_size=256 x 1M
create -f qcow2 -o cluster_size=1000 x 1M
create -f qcow2 -o cluster_size=foo x 1M
create -f qcow2 -o cluster_size= x 1M
create -f qcow2 -o cluster_size x 1M
create -f qcow2 -o cluster_size=-1 x 1M
create -f qcow2 -o refcount_bits=3 x 1M
create -f qcow2 -o refcount_bits=0 x 1M
create -f qcow2 -o refcount_bits=128 x 1M
create -f qcow2 -o refcount_bits=foo x 1M
create -f qcow2 -o refcount_bits=1,compat=0.10 x 1M
create -f qcow2 -o refcount_bits=64 x 1M
create -f qcow2 -o compat=0.9 x 1M
create -f qcow2 -o compat=v2 x 1M
create -f qcow2 -o compat=v3 x 1M
create -f qcow2 -o compat=1.1,lazy_refcounts x 1M
create -f qcow2 -o compat=0.10,lazy_refcounts=on x 1M
create -f qcow2 -o compat=0.10,extended_l2=on x 1M
create -f qcow2 -o compat=0.10,compression_type=zstd x 1M
create -f qcow2 -o compat=0.10,data_file=y x 1M
create -f qcow2 -o lazy_refcounts=maybe x 1M
create -f qcow2 -o lazy_refcounts=1 x 1M
create -f qcow2 -o lazy_refcounts=true x 1M
create -f qcow2 -o lazy_refcounts=yes x 1M
create -f qcow2 -o nolazy_refcounts x 1M
create -f qcow2 -o extended_l2=on,cluster_size=4k x 1M
create -f qcow2 -o extended_l2=on x 1M
create -f qcow2 -o compression_type=lz4 x 1M
create -f qcow2 -o compression_type=zstd x 1M
create -f qcow2 -o compression_type=zlib,compat=0.10 x 1M
create -f qcow2 -o data_file=y x 1M
create -f qcow2 -o data_file=y,data_file_raw=on x 1M
create -f qcow2 -o data_file_raw=on x 1M
create -f qcow2 -o data_file=y,data_file_raw=on,backing_file=a.raw,backing_fmt=raw x 1M
create -f qcow2 -o data_file=a.raw,data_file_raw=on,backing_file=a.raw x 1M
create -f qcow2 -o data_file=nodir/y x 1M
create -f qcow2 -o data_file=x x 1M
create -f qcow2 -o data_file=a.raw x 1M
create -f qcow2 -o data_file=y,preallocation=metadata x 1M
create -f qcow2 -o preallocation=metadata,cluster_size=2M x 5M
create -f qcow2 -o preallocation=falloc x 1M
create -f qcow2 -o preallocation=full x 1M
create -f qcow2 -o preallocation=metadata,backing_file=a.qcow2,backing_fmt=qcow2 x
create -f qcow2 -o preallocation=metadata,extended_l2=on,backing_file=a.qcow2,backing_fmt=qcow2 x
create -f qcow2 -o preallocation=falloc,extended_l2=on,backing_file=a.qcow2,backing_fmt=qcow2 x
create -f qcow2 -o encryption=on x 1M
create -f qcow2 -o encryption=off x 1M
create -f qcow2 -o encrypt.format=bogus x 1M
create -f qcow2 -o encrypt.nosuch=1 x 1M
create -f qcow2 -o help
create -f raw -o help
create -f vmdk -o help
create -f vmdk -o help x
create -f vpc -o help
create -f vpc -o help x
create -f vhdx -o help
create -f vhdx -o help x
create -f parallels -o help
create -f parallels -o help x
create -f vdi -o help
create -f vdi -o help x
create -f qed -o help
create -f qed -o help x
create -f qcow -o help
create -f qcow -o help x
create -f luks -o help
create -f luks -o help x
create -f qcow2 -o ? x 1M
create -f qcow2 -o cluster_size=4k,help
create -f qcow2 -o help,cluster_size=4k
create -f qcow2 -o ,, x 1M
create -f qcow2 -o ,,help x 1M
create -f qcow2 -o help,, x 1M
create -f qcow2 -o help,,x x 1M
create -f qcow2 -u -o backing_file=a.qcow2,,help,backing_fmt=qcow2 x 1M
create -f qcow2 -o size=1M -o ,, -o help x
create -f file -o help
create -f host_device -o help
create -f nosuch -o help
create -f null-co -o help
create -o help
create -f qcow2 -o help -o size=1
create -f qcow2 x 9223372036854775807
create -f qcow2 x 9223372036854775296
create -f qcow2 x 1E
create -f qcow2 x 4P
create -f qcow2 -o cluster_size=512 x 1P
create -f qcow2 -o cluster_size=512 x 129G
create -f qcow2 -o cluster_size=2M x 4E
create -f qcow2 -o extended_l2=on x 2P
create -f raw x 1E
create -f raw x 7E
create -f qcow2 -b a.qcow2 -F qcow2 x
create -f qcow2 -b a.qcow2 -F qcow2 x 2M
create -f qcow2 -b a.qcow2 -F qcow2 x 512k
create -f qcow2 -b a.qcow2 x
create -f qcow2 -b a.raw x
create -f qcow2 -b nofile x 1M
create -f qcow2 -b nofile -F raw x
create -f qcow2 -b nofile -F raw x 1M
create -f qcow2 -b nofile -F qcow2 x 1M
create -f qcow2 -b a.raw -F qcow2 x
create -f qcow2 -b a.qcow2 -F nosuch x
create -f qcow2 -b a.qcow2 -F raw x
create -f qcow2 -b a.raw -F raw x
create -f qcow2 -b folder/in.qcow2 -F qcow2 x
create -f qcow2 -b in.qcow2 -F qcow2 folder/x
create -f qcow2 -b ../a.qcow2 -F qcow2 folder/x
create -f qcow2 -b gone.qcow2 -F qcow2 x
create -f qcow2 -b wrongfmt.qcow2 -F qcow2 x
create -f qcow2 -b over.qcow2 -F qcow2 x
create -f qcow2 -b third.qcow2 -F qcow2 x
create -f qcow2 -b folder -F raw x
create -f qcow2 -b . -F raw x
create -f qcow2 -b foo:bar -F raw x
create -f qcow2 -b a.qcow2 -F qcow2 a.qcow2
create -f qcow2 -b ./a.qcow2 -F qcow2 a.qcow2
create -f qcow2 -b a.qcow2 -F qcow2 over.qcow2
create -f qcow2 -u -b nofile -F raw x 1M
create -f qcow2 -u -b nofile -F raw x
create -f qcow2 -u -b nofile x 1M
create -f qcow2 -u -b nofile -F nosuch x 1M
create -f qcow2 -F qcow2 x 1M
create -f qcow2 -F nosuch x 1M
create -f qcow2 -b a.qcow2 -b b.raw -F qcow2 x
create -f qcow2 -b a.qcow2 -o backing_file=b.raw -F qcow2 x
create -f qcow2 -o backing_file=a.qcow2,backing_fmt=qcow2 x
create -f qcow2 -o backing_fmt=qcow2 x 1M
create -f qcow2 --backing a.qcow2 --backing-format qcow2 x
create -f qcow2 --backing-unsafe --backing nofile --backing-format raw x 1M
create -f qcow2 --options cluster_size=4k x 1M
create -f qcow2 -o backing_file=a.raw,backing_fmt=raw,compat=0.10 x
create nodir/x 1M
create -f qcow2 nodir/x 1M
create /dev/full 1M
create -f qcow2 /dev/full 1M
create -f raw /dev/null 0
create folder 1M
create -f qcow2 folder 1M
create foo:x 1M
create -f qcow2 foo:x 1M
create -f qcow2 null-co:// 1M
create file:x 1M
create -f qcow2 a.raw 1M
create a.qcow2 1M
create -f qcow2 -o size x
create -f qcow2 -o =5 x 1M
create -f qcow2 -o , x 1M
create -f qcow2 -o ,cluster_size=4k x 1M
create -f qcow2 -o cluster_size=4k, x 1M
create --image-opts x 1M
create -U x 1M
create -x x 1M
create --object secret,id=s,data=a x 1M
create --object bogus x 1M
create link.qcow2 1M
create dangling 1M
""".strip().split("\n")
CONVERT = """
convert
convert a.raw
convert -O qcow2 a.qcow2
convert a.raw x
convert -O qcow2 a.raw x
convert a.qcow2 x
convert -f raw a.qcow2 x
convert -f raw -O raw a.raw x
convert -O bogus a.qcow2 x
convert -f bogus a.qcow2 x
convert -f qcow2 a.raw x
convert nofile x
convert -f qcow2 nofile x
convert a.raw nofile x
convert a.qcow2 nodir/x
convert -O qcow2 a.qcow2 nodir/x
convert -n -O raw a.qcow2 nope.raw
convert -n -O qcow2 a.qcow2 nope.qcow2
convert -n a.qcow2 b.raw
convert -n -O raw a.qcow2 b.raw
convert -n -O qcow2 a.raw same.qcow2
convert -n -O qcow2 a.qcow2 b.raw
convert -n -O raw a.raw odd.raw
convert -n -O raw odd.raw b.raw
convert -n -O raw a.raw readonly.raw
convert -n -o size=1M -O raw a.raw b.raw
convert -n -O qcow2 -B a.qcow2 -F qcow2 a.raw empty.qcow2
convert -n -c -O qcow2 a.raw empty.qcow2
convert -n -c -O qcow2 a.raw data.qcow2
convert -n -O qcow2 a.raw over.qcow2
convert -n -O qcow2 other.raw over.qcow2
convert -n -O qcow2 a.raw sn.qcow2
convert -n -O qcow2 a.raw corrupt.qcow2
convert -n -O qcow2 a.raw dirty.qcow2
convert -n -O qcow2 a.raw v2.qcow2
convert -n -O qcow2 a.raw ext.qcow2
convert -n -O qcow2 other.raw data.qcow2
convert -n -O qcow2 other.raw dataraw.qcow2
convert -n --target-is-zero -O raw a.qcow2 b.raw
convert -n --target-is-zero -O qcow2 a.raw empty.qcow2
convert -n --target-is-zero -O qcow2 a.raw over.qcow2
convert -n --target-is-zero -O qcow2 a.raw overraw.qcow2
convert --target-is-zero -O raw a.qcow2 x
convert --target-is-zero -n -O qcow2 -B a.qcow2 -F qcow2 a.raw over.qcow2
convert -c -O raw a.qcow2 x
convert -c -O qcow2 a.raw x
convert -c -O qcow2 -o compression_type=zstd a.raw x
convert -c -O qcow2 -o compat=0.10 a.raw x
convert -c -O qcow2 -o data_file=y a.raw x
convert -c -O qcow2 -o preallocation=metadata a.raw x
convert -c -O qcow2 -o preallocation=off a.raw x
convert -c -S 0 -O qcow2 a.raw x
convert -O qcow2 -o data_file=y a.raw x
convert -O qcow2 -o data_file=y,data_file_raw=on a.raw x
convert -O qcow2 -o preallocation=metadata a.raw x
convert -O qcow2 -o preallocation=falloc a.raw x
convert -O qcow2 -o preallocation=bogus a.raw x
convert -O raw -o preallocation=full a.raw x
convert -O raw -o preallocation=metadata a.raw x
convert -O qcow2 -o nosuch=1 a.raw x
convert -O qcow2 -o size=2M a.raw x
convert -O qcow2 -o size=512k a.raw x
convert -O raw -o size=2M a.raw x
convert -O raw -o size=foo a.raw x
convert -O qcow2 -o help
convert -O raw -o help
convert -O vdi -o help
convert -O qcow2 -o help a.raw x
convert -o help
convert -O nosuch -o help
convert -O qcow2 -o cluster_size=3k a.raw x
convert -O qcow2 -o cluster_size=4k -o compat=0.10 a.raw x
convert -O qcow2 -o encrypt.format=luks a.raw x
convert -W -c -O qcow2 a.qcow2 x
convert -W a.qcow2 x
convert --oob-writes a.qcow2 x
convert -C a.raw x
convert -C -c -O qcow2 a.qcow2 x
convert -C -S 4k a.qcow2 x
convert -C a.qcow2 x
convert --copy-range-offloading a.raw x
convert -m 0 a.qcow2 x
convert -m 17 a.qcow2 x
convert -m 16 a.qcow2 x
convert -m 1 a.qcow2 x
convert -m foo a.qcow2 x
convert -m -1 a.qcow2 x
convert -m 1k a.qcow2 x
convert --parallel 4 a.qcow2 x
convert -S 1 a.qcow2 x
convert -S 513 a.qcow2 x
convert -S 512 a.qcow2 x
convert -S 0 a.qcow2 x
convert -S 64k a.qcow2 x
convert -S 16M a.qcow2 x
convert -S 17M a.qcow2 x
convert -S foo a.qcow2 x
convert -S -1 a.qcow2 x
convert -S 4k a.raw x
convert --sparse-size 8k a.qcow2 x
convert -t bogus a.qcow2 x
convert -T bogus a.qcow2 x
convert -t none a.qcow2 x
convert -T none a.qcow2 x
convert -t writethrough a.qcow2 x
convert -t directsync -O qcow2 a.qcow2 x
convert -t writeback a.qcow2 x
convert -t unsafe -T unsafe a.qcow2 x
convert -T directsync -t none -O qcow2 a.raw x
convert --cache none a.qcow2 x
convert --output-cache none --source-cache none a.qcow2 x
convert -l nope a.qcow2 x
convert -l one a.raw x
convert -l one sn.qcow2 x
convert -l 2 sn.qcow2 x
convert -l snapshot.name=two sn.qcow2 x
convert -l snapshot.id=1 sn.qcow2 x
convert -l snapshot.name=two,snapshot.id=1 sn.qcow2 x
convert -l snapshot.name=two,snapshot.id=2 sn.qcow2 x
convert -l snapshot.nosuch=1 sn.qcow2 x
convert -l snapshot.id sn.qcow2 x
convert -l one -c -O qcow2 sn.qcow2 x
convert --snapshot one sn.qcow2 x
convert -l one a.raw sn.qcow2 x
convert a.raw b.raw other.raw x
convert -O qcow2 a.raw a.qcow2 odd.raw x
convert -O qcow2 -B a.qcow2 -F qcow2 over.qcow2 x
convert -O qcow2 -B a.qcow2 over.qcow2 x
convert -O qcow2 -F qcow2 over.qcow2 x
convert -O raw -B a.raw -F raw b.raw x
convert -O qcow2 -B nofile -F raw a.raw x
convert -O qcow2 -B a.raw -F nosuch a.raw x
convert -O qcow2 -B a.raw -F raw a.raw other.raw x
convert -O qcow2 -B b.raw -F raw a.raw x
convert -O qcow2 -B other.raw -F raw a.raw x
convert -O qcow2 -B a.qcow2 -F qcow2 -c over.qcow2 x
convert -O qcow2 -o backing_file=a.qcow2,backing_fmt=qcow2 over.qcow2 x
convert -O qcow2 -o backing_file=a.qcow2 over.qcow2 x
convert -O qcow2 -B a.qcow2 -o backing_file=b.raw -F qcow2 over.qcow2 x
convert -O qcow2 -B a.qcow2 -F qcow2 -W over.qcow2 x
convert -O qcow2 -B a.qcow2 -F qcow2 -S 0 over.qcow2 x
convert --bitmaps -O raw a.qcow2 x
convert --bitmaps -O qcow2 a.qcow2 x
convert --bitmaps -O qcow2 a.raw x
convert --bitmaps -O qcow2 a.qcow2 a.raw x
convert --skip-broken-bitmaps -O qcow2 a.qcow2 x
convert --bitmaps --skip-broken-bitmaps -O qcow2 a.qcow2 x
convert --bitmaps -O qcow2 -o compat=0.10 a.qcow2 x
convert --bitmaps -O qcow2 badmarks.qcow2 x
convert --bitmaps --skip-broken-bitmaps -O qcow2 badmarks.qcow2 x
convert -n --bitmaps -O qcow2 marks.qcow2 large.qcow2
convert -n --bitmaps -O qcow2 marks.qcow2 secondmark.qcow2
convert -n --bitmaps -O qcow2 marks.qcow2 marked.qcow2
convert -n --bitmaps -c -O raw marks.qcow2 odd.raw
convert -n --bitmaps -O raw marks.qcow2 odd.raw
convert -n -c -O raw a.qcow2 odd.raw
convert --image-opts driver=qcow2,file.filename=a.qcow2 x
convert -f qcow2 --image-opts driver=qcow2,file.filename=a.qcow2 x
convert --image-opts driver=nosuch x
convert --image-opts foo=bar x
convert --source-image-opts driver=qcow2,file.filename=a.qcow2 x
convert -O qcow2 --target-image-opts a.qcow2 driver=raw,file.filename=b.raw
convert -n --target-image-opts a.qcow2 driver=raw,file.filename=b.raw
convert -n --target-image-opts -O raw a.qcow2 driver=raw,file.filename=b.raw
convert -n --target-image-opts other.raw driver=qcow2,file.filename=a.qcow2
convert -n --target-image-opts other.raw driver=raw,offset=64k,file.filename=a.raw
convert -n --target-image-opts other.raw driver=nosuch
convert -n --target-image-opts other.raw bogus
convert --salvage a.qcow2 x
convert --salvage -C a.qcow2 x
convert --salvage -O qcow2 cut.qcow2 x
convert cut.qcow2 x
convert -r 1 -q odd.raw x
convert -r foo a.raw x
convert -r -1 a.raw x
convert -r 0 a.raw x
convert -r 100M a.raw x
convert --rate 100M a.raw x
convert -U a.qcow2 x
convert --force-share a.qcow2 x
convert -q a.qcow2 x
convert -p odd.raw x
convert -p -q odd.raw x
convert -x a.raw x
convert --bogus a.raw x
convert a.raw a.raw
convert a.qcow2 ./a.qcow2
convert a.qcow2 link.qcow2
convert -O qcow2 over.qcow2 a.qcow2
convert over.qcow2 x
convert third.qcow2 x
convert gone.qcow2 x
convert goneq.qcow2 x
convert wrongfmt.qcow2 x
convert nosuchfmt.qcow2 x
convert noproto.qcow2 x
convert badjson.qcow2 x
convert nodata.qcow2 x
convert data.qcow2 x
convert dataraw.qcow2 x
convert v99.qcow2 x
convert unknown.qcow2 x
convert corrupt.qcow2 x
convert dirty.qcow2 x
convert short.qcow2 x
convert note.txt x
convert -O qcow2 note.txt x
convert -O qcow2 empty.bin x
convert empty.bin x
convert -O qcow2 one.byte x
convert one.byte x
convert odd.raw x
convert folder x
convert a.raw folder
convert a.raw /dev/full
convert -O qcow2 a.raw /dev/null
convert a.raw /dev/null
convert -n a.raw /dev/null
convert null-co:// /dev/null
convert -n null-co:// null-co://
convert /dev/null x
convert a.raw foo:x
convert -O qcow2 a.raw null-co://
convert -n -O raw a.raw null-co://
convert -O host_device a.raw x
convert -O file a.raw x
convert -O null-co a.raw x
convert --object bogus a.raw x
convert -o size=1M
convert -n
convert -O qcow2 a.raw x --bogus
convert -fraw -Oqcow2 -onocow=on a.raw x
convert a.raw -O qcow2 x -q
convert -S
""".strip().split("\n")
COMPARE = """
compare
compare a.raw
compare a.raw b.raw other.raw
compare a.raw b.raw
compare a.raw other.raw
compare a.raw a.qcow2
compare a.qcow2 same.qcow2
compare -s a.qcow2 same.qcow2
compare -s a.qcow2 packed.qcow2
compare a.qcow2 packed.qcow2
compare -s a.raw a.qcow2
compare -s a.raw b.raw
compare a.qcow2 over.qcow2
compare -s a.qcow2 third.qcow2
compare over.qcow2 third.qcow2
compare -s over.qcow2 third.qcow2
compare empty.qcow2 overraw.qcow2
compare a.raw odd.raw
compare odd.raw a.raw
compare odd.raw empty.bin
compare -s odd.raw empty.bin
compare a.raw empty.qcow2
compare empty.bin empty.bin
compare empty.qcow2 empty.bin
compare a.raw nofile
compare nofile a.raw
compare -s a.qcow2 nofile
compare -f raw -F qcow2 a.raw a.qcow2
compare -f raw a.qcow2 a.qcow2
compare -f qcow2 a.raw a.raw
compare -F qcow2 a.raw a.raw
compare -f nosuch a.raw b.raw
compare -F nosuch a.raw b.raw
compare --a-format raw --b-format raw a.raw b.raw
compare --left-format raw --right-format raw a.raw b.raw
compare -T bogus a.raw b.raw
compare -T none a.raw b.raw
compare --cache none a.raw a.qcow2
compare -t none a.raw b.raw
compare -q a.raw b.raw
compare -q a.raw other.raw
compare --quiet a.raw other.raw
compare -q -s a.qcow2 odd.raw
compare -p odd.raw odd.raw
compare -p a.raw other.raw
compare -U a.raw b.raw
compare --strict a.raw b.raw
compare --image-opts driver=raw,file.filename=a.raw driver=qcow2,file.filename=a.qcow2
compare --image-opts a.raw b.raw
compare --image-opts -f raw driver=raw,file.filename=a.raw driver=qcow2,file.filename=a.qcow2
compare cut.qcow2 a.qcow2
compare a.qcow2 cut.qcow2
compare corrupt.qcow2 a.qcow2
compare gone.qcow2 a.qcow2
compare data.qcow2 a.qcow2
compare data.qcow2 dataraw.qcow2
compare -s data.qcow2 dataraw.qcow2
compare nodata.qcow2 a.qcow2
compare sn.qcow2 a.qcow2
compare folder a.raw
compare a.raw /dev/null
compare null-co:// null-co://
compare foo:x a.raw
compare -x a.raw b.raw
compare --object bogus a.raw b.raw
compare v2.qcow2 ext.qcow2
compare -s v2.qcow2 ext.qcow2
""".strip().split("\n")
MAP = """
map
map a.raw b.raw
map a.raw
map a.qcow2
map --output=json a.raw
map --output=json a.qcow2
map --output=json ext.qcow2
map ext.qcow2
map packed.qcow2
map --output=json packed.qcow2
map over.qcow2
map --output=json over.qcow2
map third.qcow2
map --output=json third.qcow2
map overraw.qcow2
map --output=json overraw.qcow2
map data.qcow2
map --output=json data.qcow2
map dataraw.qcow2
map --output=json dataraw.qcow2
map nodata.qcow2
map zerodata.qcow2
map --output=json zerodata.qcow2
map longer.qcow2
map --output=json longer.qcow2
map sn.qcow2
map --output=json sn.qcow2
map gone.qcow2
map goneq.qcow2
map wrongfmt.qcow2
map --output=json gone.qcow2
map cut.qcow2
map --output=json cut.qcow2
map corrupt.qcow2
map --output=json dirty.qcow2
map empty.bin
map --output=json empty.bin
map one.byte
map --output=json odd.raw
map odd.raw
map note.txt
map -f raw a.qcow2
map -f qcow2 a.raw
map -f nosuch a.raw
map nofile
map folder
map -s 64k a.qcow2
map -s 100000 -l 1000 a.qcow2
map -s 100000 -l 1000 --output=json a.qcow2
map --start-offset=100000 --max-length=1000 --output=json a.qcow2
map --start-offset=1M a.qcow2
map --start-offset=1M --output=json a.qcow2
map --start-offset=20M --output=json a.qcow2
map --start-offset=20M a.qcow2
map -s foo a.qcow2
map -l foo a.qcow2
map -s -1 a.qcow2
map -s 8E a.qcow2
map -l 0 a.qcow2
map -l 0 --output=json a.qcow2
map -l 1 --output=json a.qcow2
map -s 1 --output=json a.qcow2
map -s 1 -l 70000 a.qcow2
map --output=xml a.qcow2
map -U a.qcow2
map --force-share a.qcow2
map --image-opts driver=raw,offset=64k,size=128k,file.filename=a.raw
map --image-opts --output=json driver=raw,offset=64k,size=128k,file.filename=a.raw
map --image-opts --output=json driver=qcow2,backing=,file.filename=over.qcow2
map --image-opts foo=bar
map null-co://
map --output=json null-co://
map /dev/null
map foo:bar
map -x a.raw
map --object bogus a.raw
map --output=json v2.qcow2
map --output=json empty.qcow2
map empty.qcow2
""".strip().split("\n")
MEASURE = """
measure
measure a.raw
measure a.raw b.raw
measure a.qcow2
measure -O qcow2 a.raw
measure -O qcow2 a.qcow2
measure -O raw a.qcow2
measure --output=json a.qcow2
measure --output=json -O qcow2 a.qcow2
measure --output=json -O qcow2 a.raw
measure --output=json -O qcow2 v2.qcow2
measure -O qcow2 v2.qcow2
measure -O qcow2 ext.qcow2
measure -O qcow2 packed.qcow2
measure -O qcow2 over.qcow2
measure -O qcow2 third.qcow2
measure -O qcow2 overraw.qcow2
measure -O qcow2 data.qcow2
measure -O qcow2 sn.qcow2
measure -O qcow2 -l one sn.qcow2
measure -O qcow2 -l 2 sn.qcow2
measure -O qcow2 -l snapshot.name=two sn.qcow2
measure -O qcow2 -l nope sn.qcow2
measure -O qcow2 -l one a.raw
measure -O qcow2 gone.qcow2
measure -O qcow2 cut.qcow2
measure -O qcow2 corrupt.qcow2
measure -O qcow2 odd.raw
measure odd.raw
measure empty.bin
measure -O qcow2 empty.bin
measure note.txt
measure --size 1G
measure --size 0
measure --size 0 -O qcow2
measure --size 1 -O qcow2
measure --size 1 -O raw
measure --size 1G -O qcow2
measure --size 1G --output=json
measure --size 1G --output=json -O qcow2
measure --size 1G -O qcow2 -o cluster_size=4k,preallocation=full
measure --size 1G -O qcow2 -o cluster_size=512
measure --size 1G -O qcow2 -o cluster_size=2M
measure --size 1G -O qcow2 -o preallocation=metadata
measure --size 1G -O qcow2 -o preallocation=falloc
measure --size 1G -O qcow2 -o preallocation=bogus
measure --size 1G -O qcow2 -o refcount_bits=1
measure --size 1G -O qcow2 -o refcount_bits=64
measure --size 1G -O qcow2 -o refcount_bits=3
measure --size 1G -O qcow2 -o extended_l2=on
measure --size 1G -O qcow2 -o extended_l2=on,cluster_size=4k
measure --size 1G -O qcow2 -o compat=0.10
measure --size 1G -O qcow2 -o compat=0.10,refcount_bits=1
measure --size 1G -O qcow2 -o compat=bogus
measure --size 1G -O qcow2 -o lazy_refcounts=on
measure --size 1G -O qcow2 -o data_file=y
measure --size 1G -O qcow2 -o data_file=y,data_file_raw=on
measure --size 1G -O qcow2 -o backing_file=a.qcow2
measure --size 1G -O qcow2 -o backing_file=a.qcow2,backing_fmt=qcow2
measure -O qcow2 -o backing_file=a.qcow2,backing_fmt=qcow2 over.qcow2
measure --size 1G -O qcow2 -o cluster_size=3
measure --size 1G -O qcow2 -o size=5
measure --size 1G -O qcow2 -o nosuch=1
measure --size 1G -O raw -o nosuch=1
measure --size 1G -O raw -o preallocation=full
measure --size 1G -O nosuch
measure --size 1G -O null-co
measure --size 1G -O file
measure --size 7E -O qcow2
measure --size 1P -O qcow2
measure --size 64T -O qcow2
measure --size 8E
measure --size foo
measure --size -1
measure --size 1Z
measure -O raw
measure --size 1G a.raw
measure --size 1G -f raw
measure -f raw a.raw
measure -f qcow2 a.raw
measure -f nosuch a.raw
measure nofile
measure -o help
measure -O qcow2 -o help
measure --output=xml a.raw
measure -U a.raw
measure --force-share a.qcow2
measure --image-opts driver=qcow2,file.filename=a.qcow2
measure --image-opts -f qcow2 driver=qcow2,file.filename=a.qcow2
measure --image-opts foo=bar
measure --target-format qcow2 --options cluster_size=4k --snapshot one sn.qcow2
measure --object bogus a.raw
measure -x
measure /dev/null
measure null-co://
measure folder
""".strip().split("\n")
SNAPSHOT = """
snapshot
snapshot sn.qcow2
snapshot -l sn.qcow2
snapshot --list sn.qcow2
snapshot -q -l sn.qcow2
snapshot -U -l sn.qcow2
snapshot --force-share --quiet sn.qcow2
snapshot -l a.qcow2
snapshot a.raw
snapshot -f raw sn.qcow2
snapshot -f bogus sn.qcow2
snapshot -l nofile
snapshot a.qcow2 b.raw
snapshot --image-opts driver=qcow2,file.filename=sn.qcow2
snapshot --image-opts -f qcow2 driver=qcow2,file.filename=sn.qcow2
snapshot -c three sn.qcow2
snapshot -q -c one sn.qcow2
snapshot -c one over.qcow2
snapshot -c one ext.qcow2
snapshot -c one v2.qcow2
snapshot -c one gone.qcow2
snapshot -c one data.qcow2
snapshot -c one dirty.qcow2
snapshot -c one corrupt.qcow2
snapshot -c one packed.qcow2
snapshot -c one -f raw a.raw
snapshot -c one a.raw
snapshot -c one readonly.raw
snapshot -c
snapshot -a one sn.qcow2
snapshot -a 2 sn.qcow2
snapshot -a nope sn.qcow2
snapshot -a one data.qcow2
snapshot -a one -f raw a.raw
snapshot -d one sn.qcow2
snapshot -d 2 sn.qcow2
snapshot -d nope sn.qcow2
snapshot -d one data.qcow2
snapshot -d one -f raw a.raw
snapshot -U -c x sn.qcow2
snapshot -l -c x sn.qcow2
snapshot -l -l sn.qcow2
snapshot -a one -d two sn.qcow2
snapshot -c x -c y sn.qcow2
snapshot -x sn.qcow2
snapshot --bogus sn.qcow2
snapshot --object secret,id=s,data=x -l sn.qcow2
snapshot --object bogus -l sn.qcow2
""".strip().split("\n")
BITMAP = """
bitmap
bitmap a.qcow2
bitmap a.qcow2 b
bitmap --add
bitmap --add a.qcow2
bitmap --add a.qcow2 b
bitmap --add a.qcow2 b extra
bitmap --add a.qcow2 b --disable
bitmap --add --add a.qcow2 b
bitmap --add --remove a.qcow2 b
bitmap --add --disable --enable --clear --remove --add a.qcow2 b
bitmap --add -g 4k a.qcow2 b
bitmap --add --granularity 2G a.qcow2 b
bitmap --add -g 4G a.qcow2 b
bitmap --add -g 256 a.qcow2 b
bitmap --add -g 0 a.qcow2 b
bitmap --add -g 3000 a.qcow2 b
bitmap --add -g foo a.qcow2 b
bitmap --add -g 8E a.qcow2 b
bitmap -g 64k --clear a.qcow2 b
bitmap --remove a.qcow2 b
bitmap --clear a.qcow2 b
bitmap --enable a.qcow2 b
bitmap --disable a.qcow2 b
bitmap --merge c a.qcow2 b
bitmap --add --merge c a.qcow2 b
bitmap --add --merge b a.qcow2 b
bitmap --add --merge b -b same.qcow2 -F qcow2 a.qcow2 b
bitmap --add --merge b -b a.raw -F raw a.qcow2 b
bitmap --add --merge b -b marked.qcow2 -F qcow2 a.qcow2 b
bitmap --add --merge b -b markedgone.qcow2 -F qcow2 a.qcow2 b
bitmap --add --merge b -b nofile a.qcow2 b
bitmap --add --merge b -F qcow2 a.qcow2 b
bitmap --add -b same.qcow2 a.qcow2 b
bitmap --add v2.qcow2 b
bitmap --remove v2.qcow2 b
bitmap --add ext.qcow2 b
bitmap --add data.qcow2 b
bitmap --add sn.qcow2 b
bitmap --add a.raw b
bitmap --add -f raw a.raw b
bitmap --clear -f raw a.raw b
bitmap --add nofile b
bitmap --add -f bogus a.qcow2 b
bitmap --add --image-opts driver=qcow2,file.filename=a.qcow2 b
bitmap --add -f qcow2 --image-opts driver=qcow2,file.filename=a.qcow2 b
bitmap --object secret,id=s,data=x --add a.qcow2 b
bitmap --add gone.qcow2 b
bitmap --add dirty.qcow2 b
bitmap --add corrupt.qcow2 b
bitmap -q --add a.qcow2 b
bitmap --bogus a.qcow2 b
""".strip().split("\n")


# +S stands for a secret with the password of luks.qcow2, aes.qcow2 and disk.luks.
PROGRESS = """
compare -p gone.qcow2 a.raw
compare -p a.raw nofile
compare -p -T bogus a.raw b.raw
compare -p --image-opts -f raw a.raw b.raw
compare -p -q a.raw nofile
convert -p nofile x
convert -p a.raw nofile x
convert -p -O nosuch a.raw x
convert -p -O qcow2 -o nosuch=1 a.raw x
convert -p -t bogus nofile x
convert -p -n -t bogus a.raw x
convert -p -T bogus a.raw x
convert -p -n a.raw nofile
convert -p -c a.raw x
convert -p --image-opts -f raw a.raw x
convert -p -l one sn.qcow2 sn.qcow2 x
convert -p -l one nofile sn.qcow2 x
convert -p -q nofile x
amend -p -f qcow2 -o compat=1.1 nofile
amend -p -f raw -o compat=1.1 a.raw
amend -p -o nosuch=1 a.qcow2
amend -p -o compat=7 a.qcow2
amend -p -o encrypt.format=luks a.qcow2
amend -p -o compat=1.1 a.qcow2
amend -p -f qcow2 -o help
amend -p -o help a.qcow2
amend -p -o compat=1.1
amend -p a.qcow2
amend -p -t bogus -o compat=1.1 a.qcow2
amend -p -q -o compat=1.1 nofile
amend -p --image-opts -f qcow2 -o compat=1.1 a.qcow2
rebase -p -b a.raw nofile
rebase -p -f raw -b  a.raw
rebase -p -u -f raw -b a.raw -F raw b.raw
rebase -p -f qcow2 -b a.qcow2 over.qcow2
rebase -p -f qcow2 -b nofile -F qcow2 over.qcow2
rebase -p -u -F raw -b nofile over.qcow2
rebase -p -F nosuch -b a.qcow2 over.qcow2
rebase -p -t bogus -b a.qcow2 over.qcow2
rebase -p -T bogus -b a.qcow2 over.qcow2
rebase -p --image-opts -f qcow2 -b a.qcow2 over.qcow2
commit -p nofile
commit -p a.raw
commit -p -b nofile over.qcow2
commit -p -t bogus over.qcow2
commit -p --image-opts -f qcow2 over.qcow2
""".strip().split("\n")
ENCRYPTION = """
info luks.qcow2
info --output=json luks.qcow2
map luks.qcow2
convert -O raw luks.qcow2 x
info aes.qcow2
info --output=json aes.qcow2
map aes.qcow2
convert -O raw aes.qcow2 x
info --image-opts driver=qcow2,file.filename=empty.qcow2,encrypt.format=luks
info --image-opts driver=qcow2,file.filename=empty.qcow2,encrypt.key-secret=s
info --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.format=luks
info --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.format=aes
info --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.format=bogus
info --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.nosuch=bogus
info --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.cipher-alg=bogus
map --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.nosuch=1
map --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.format=luks,encrypt.iter-time=1,nosuch=2
map +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret.more=1
map --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.nosuch.more=1
map --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.format=luks,encrypt.nosuch=1
map --image-opts driver=qcow2,file.filename=a.qcow2,encrypt.nosuch=1
map --image-opts driver=qcow2,file.filename=a.qcow2,encrypt.format=luks,encrypt.nosuch=1
map --image-opts driver=raw,file.filename=a.raw,encrypt.nosuch=1
map --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=zz
map --object secret,id=zz,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=zz
map --object secret,id=zz,data=wrong --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.key-secret=zz
map --image-opts driver=qcow2,file.filename=empty.qcow2,encrypt.key-secret=zz
map --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.format=aes
map --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.format=qcow
map --output=json +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
map +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
measure -O qcow2 --size 1M -o encrypt.format=luks
measure -O qcow2 --size 1M -o encrypt.format=luks,encrypt.key-secret=zz
measure +S -O qcow2 --size 1M -o encrypt.format=luks,encrypt.key-secret=s
measure +S -O qcow2 --size 1M -o encrypt.format=luks,encrypt.key-secret=s,cluster_size=2M,encrypt.cipher-alg=aes-128
measure +S -O qcow2 --size 1M -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=foo
measure +S -O qcow2 --size 1M -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,cluster_size=4k
measure +S -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s a.raw
measure -O qcow2 --size 1M -o encrypt.format=aes
measure -O qcow2 --size 1M -o encrypt.format=bogus
measure -O qcow2 --size 1M -o encrypt.cipher-alg=bogus
measure -O qcow2 --size 1M -o encryption=on
measure +S -O qcow2 --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
convert -O qcow2 -o encrypt.format=luks a.raw x
convert -c -O qcow2 -o encrypt.format=luks a.raw x
convert -c -O qcow2 -o encryption=on a.raw x
convert +S -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 a.raw x
create -f qcow2 -b luks.qcow2 -F qcow2 x
create -f qcow2 -b luks.qcow2 -F qcow2 x 2M
create +S -f qcow2 -o encrypt.format=luks x 1M
create +S -f qcow2 -o encrypt.format=bogus x 1M
create +S -f qcow2 -o encrypt.cipher-alg=aes-128 x 1M
create +S -f qcow2 -o encrypt.key-secret=s x 1M
create +S -f qcow2 -o encrypt.format=aes,encrypt.cipher-alg=aes-128,encrypt.key-secret=s x 1M
create +S -f qcow2 -o encrypt.format=aes x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=zz x 1M
create +S -f qcow2 -o encryption=on x 1M
create +S -f qcow2 -o encryption=off,encrypt.key-secret=s x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=foo x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=x x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=0 x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-mode=xyz x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.hash-alg=xyz x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.hash-alg=xyz,encrypt.cipher-alg=foo x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=aes-192,encrypt.ivgen-alg=essiv,encrypt.iter-time=10 x 1M
create +S -f qcow2 -o encrypt.format=luks,cluster_size=5 x 1M
create +S -f qcow2 -o encrypt.format=luks,compat=0.10,encrypt.key-secret=s,encrypt.iter-time=10 x 1M
create +S -f qcow2 -o encrypt.format=aes,encrypt.key-secret=s,compat=0.10 x 1M
create +S -f qcow2 -o encryption=on,encrypt.format=luks x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.cipher-alg=cast5-128,encrypt.key-secret=s x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.cipher-alg=aes-256,encrypt.cipher-mode=ctr,encrypt.ivgen-alg=plain,encrypt.key-secret=s,encrypt.iter-time=10 x 1M
create +S -f qcow2 -o encrypt.format=qcow,encrypt.key-secret=s x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,data_file=df x 1M
create +S -f qcow2 -o encryption=bogus x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.nosuch=1 x 1M
create +S -f qcow2 -o encrypt.format=luks,encrypt.detached-header=on x 1M
create +S -f qcow2 -b json:{"driver":"qcow2","encrypt.key-secret":"s","file.filename":"luks.qcow2"} -F qcow2 x
info --backing-chain json:{"driver":"qcow2","encrypt.key-secret":"s","file.filename":"luks.qcow2"}
compare +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s driver=qcow2,file.filename=aes.qcow2,encrypt.key-secret=s
convert +S -n --target-image-opts a.raw driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
convert +S -n -c --target-image-opts a.raw driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
convert +S -n -O qcow2 a.raw aes.qcow2
amend -o compat=0.10 badl1.qcow2
amend -o compat=0.10 badzero.qcow2
amend -o compat=0.10 badsn.qcow2
amend -p -o compat=0.10 sn.qcow2
snapshot -a one badsn.qcow2
snapshot -c new farcluster.qcow2
snapshot -c new nocluster.qcow2
check noref.qcow2
check -r all noref.qcow2
check -r all autoclear.qcow2
resize --shrink farblock.qcow2 512k
resize --shrink oddblock.qcow2 512k
rebase -u -b nofile -F host_device a.qcow2
rebase -u -b nofile -F nosuch a.qcow2
commit -b over.qcow2 folder/third.qcow2
commit -b folder/over.qcow2 folder/third.qcow2
amend +S -o encrypt.state=inactive empty.qcow2
convert oddfirst.qcow2 x
map oddfirst.qcow2
compare oddfirst.qcow2 a.qcow2
measure -O qcow2 oddfirst.qcow2
check oddfirst.qcow2
convert -n -O qcow2 a.raw oddfirst.qcow2
convert -n badzero.qcow2 b.raw
map badzero.qcow2
measure -O qcow2 badzero.qcow2
compare badzero.qcow2 a.qcow2
map badl1.qcow2
convert -n badl1.qcow2 b.raw
bitmap --add -f raw a.raw b
bitmap --add v2.qcow2 b
amend -o encrypt.state=inactive luks.qcow2
amend +S --image-opts driver=qcow2,file.filename=aes.qcow2,encrypt.key-secret=s -o encrypt.state=inactive
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10,encrypt.keyslot=5,refcount_bits=1
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.new-secret=n
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=bogus
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=zz
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=n,encrypt.keyslot=0
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=n,encrypt.keyslot=8
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=active,encrypt.new-secret=n,encrypt.old-secret=s
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=inactive
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=inactive,encrypt.old-secret=w
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=inactive,encrypt.old-secret=s
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=inactive,encrypt.keyslot=0
amend +S --object secret,id=n,data=new --object secret,id=w,data=wrong --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s -o encrypt.state=inactive,encrypt.keyslot=7
resize +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s 3M
check +S --image-opts driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s
check luks.qcow2
""".strip().split("\n")

# +L stands for disk.luks, +K for its key too, +S and +N for secrets.
LUKS = """
create -f luks -o help
create -f luks -o help x
create +S -f luks -o key-secret=s,iter-time=10,preallocation=metadata x 1M
create +S -f luks -o key-secret=s,iter-time=10,preallocation=bogus x 1M
amend -f luks -o help
info disk.luks
info --output=json disk.luks
info -f luks a.raw
info --image-opts +L
info --image-opts +L,nosuch=1
info --image-opts +L,key-secret=zz
info +S --output=json --image-opts +K
map disk.luks
map +S --output=json --image-opts +K
map --object secret,id=s,data=wrong --image-opts +K
map --image-opts +K
check disk.luks
check +S --image-opts +K
check +S -r all --image-opts +K
compare +S --image-opts +K driver=raw,file.filename=a.raw
convert disk.luks x
convert +S -O raw --image-opts +K x
convert +S -n --target-image-opts a.raw +K
convert +S -n -c --target-image-opts a.raw +K
convert +S -O luks -o key-secret=s,iter-time=10 a.raw x
convert +S -c -O luks -o key-secret=s,iter-time=10 a.raw x
convert -O luks a.raw x
convert +S -O luks -o key-secret=zz a.raw x
convert +S -O luks -o key-secret=s,cipher-alg=x a.raw x
convert +S -O luks -B a.raw -F raw -o key-secret=s a.raw x
dd -f luks -O raw if=disk.luks of=x
create +S -f luks -o key-secret=s,iter-time=10 x 1M
create +S -f luks -o key-secret=s,iter-time=10,cipher-alg=twofish-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=ripemd160 x 1M
create +S -f luks -o key-secret=s,iter-time=10,preallocation=full x 1M
create +S -f luks -o key-secret=s,iter-time=10,preallocation=bogus x 1M
create +S -f luks -o key-secret=s,iter-time=10 x 0
create +S -f luks -o key-secret=s,iter-time=10 x
create +S -f luks -o key-secret=s,iter-time=10 x 9223372036854775807
create +S -f luks -o key-secret=s,iter-time=10 x 8000000T
create +S -f luks -b a.raw -F raw -o key-secret=s x
create -f luks x 1M
create +S -f luks -o iter-time=10 x 1M
create +S -f luks -o key-secret=zz x 1M
create +S -f luks -o key-secret=s,cipher-alg=foo x 1M
create +S -f luks -o key-secret=s,cipher-alg=3des x 1M
create +S -f luks -o key-secret=s,cipher-alg=cast5-128 x 1M
create +S -f luks -o key-secret=s,cipher-mode=foo x 1M
create +S -f luks -o key-secret=s,hash-alg=foo x 1M
create +S -f luks -o key-secret=s,ivgen-alg=foo x 1M
create +S -f luks -o key-secret=s,ivgen-hash-alg=foo x 1M
create +S -f luks -o key-secret=s,iter-time=foo x 1M
create +S -f luks -o key-secret=s,iter-time=0 x 1M
create +S -f luks -o key-secret=s,nosuch=foo x 1M
create -f qcow2 -b disk.luks -F luks x
create -f qcow2 -b disk.luks -F luks x 1M
measure +S -O luks -o key-secret=s --size 10M
measure +S --output=json -O luks -o key-secret=s,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv --size 10M
measure +S -O luks -o key-secret=s a.raw
measure +S -O luks -o key-secret=s,preallocation=full a.raw
measure +S -O luks -o key-secret=s --size 9223372036854775807
measure -O luks --size 10M
measure +S -O luks -o key-secret=zz --size 10M
measure disk.luks
measure +S -O qcow2 --image-opts +K
resize disk.luks +5M
resize +S --image-opts +K +5M
resize +S --preallocation=full --image-opts +K +5M
resize +S --preallocation=metadata --image-opts +K +5M
resize +S --image-opts +K 1M
resize +S --shrink --image-opts +K 1M
resize +S --image-opts +K 9223372036854775807
snapshot +S -l --image-opts +K
snapshot +S -c one --image-opts +K
bitmap +S --add --image-opts +K b
commit +S --image-opts +K
rebase +S -u -b x -F raw --image-opts +K
amend disk.luks -o state=active
amend +S +N --image-opts +K -o state=active,new-secret=n,iter-time=10
amend +S +N --image-opts +K -o state=active,new-secret=n,iter-time=10,keyslot=5
amend +S +N --image-opts +K -o new-secret=n
amend +S +N --image-opts +K -o state=bogus
amend +S +N --image-opts +K -o state=active
amend +S +N --image-opts +K -o state=active,new-secret=zz
amend +S +N --image-opts +K -o state=active,new-secret=n,keyslot=9
amend +S +N --image-opts +K -o state=active,new-secret=n,keyslot=0
amend +S +N --image-opts +K -o state=inactive
amend +S +N --image-opts +K -o state=inactive,keyslot=-1
amend +S +N --image-opts +K -o state=inactive,keyslot=1
amend +S +N --image-opts +K -o state=inactive,old-secret=s
amend +S +N --image-opts +K -o state=inactive,old-secret=n
amend +S +N --force --image-opts +K -o state=inactive,old-secret=s
amend +S --image-opts +K -o cipher-alg=x
amend +S --image-opts +K -o size=5M
""".strip().split("\n")

BLKDEBUG = "driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2"
QUORUM = "driver=quorum,children.0.driver=raw,children.0.file.filename=a.raw,children.1.driver=qcow2,children.1.file.filename=a.qcow2"
FILTERS = """
info blkdebug::a.qcow2
info --output=json blkdebug:rules:a.qcow2
info blkdebug:a.qcow2
info blkdebug:nosuch:a.qcow2
info blkdebug:folder:a.qcow2
info blkdebug:note.txt:a.qcow2
info blkdebug::
info blkdebug::gone.qcow2
info -f blkdebug a.qcow2
info -f raw blkdebug::a.qcow2
info --backing-chain blkdebug::third.qcow2
info --image-opts driver=blkdebug
info --image-opts driver=blkdebug,image.filename=a.qcow2
info --image-opts driver=blkdebug,image.filename=a.qcow2,foo=1
info --image-opts driver=blkdebug,image.filename=a.qcow2,align=3
info --image-opts driver=blkdebug,image.filename=a.qcow2,align=4096,max-transfer=5000
info --image-opts driver=blkdebug,image.filename=a.qcow2,align=512,opt-write-zero=4096,max-write-zero=8192,max-discard=65536
info --image-opts driver=blkdebug,image.filename=a.qcow2,take-child-perms.0=write
info --image-opts driver=blkdebug,image.filename=a.qcow2,unshare-child-perms.0=foo
info --image-opts file.driver=blkdebug,file.image=a.qcow2
info --image-opts file.driver=blkdebug,file.filename=a.qcow2
info --image-opts +B,file.align=4096
info --image-opts +B,file.inject-error.0.event=l2_load
info --image-opts +B,file.inject-error.event=l2_load,file.config=rules
info --image-opts +B,file.inject-error.event=none
info --image-opts +B,file.inject-error.foo=5
info --image-opts +B,file.inject-error.0.foo=5
info --image-opts +B,file.inject-error.0.event=bogus
info --image-opts +B,file.inject-error.0.errno=1
info --image-opts +B,file.inject-error.0.event=read_aio,file.inject-error.0.errno=abc
info --image-opts +B,file.inject-error.0.event=read_aio,file.inject-error.0.once=abc
info --image-opts +B,file.inject-error.1.event=read_aio
info --image-opts +B,file.set-state.0.event=read_aio,file.set-state.0.new_state=x
create -f qcow2 blkdebug::new.qcow2 1M
create -f blkdebug x 1M
create -f qcow2 -b blkdebug::a.qcow2 -F qcow2 x
map blkdebug::a.raw
map --output=json blkdebug::a.qcow2
map --image-opts +B,file.inject-error.event=l2_load
compare blkdebug:rules:a.qcow2 a.qcow2
compare blkdebug:rules:a.qcow2 empty.qcow2
convert -O raw blkdebug:rules:a.qcow2 x
convert -O qcow2 blkdebug::over.qcow2 x
convert -O raw --image-opts +B,file.inject-error.event=l2_load x
check blkdebug::a.qcow2
commit blkdebug::over.qcow2
commit blkdebug:rules:over.qcow2
rebase -b  blkdebug::over.qcow2
resize blkdebug::a.qcow2 8M
snapshot -c one blkdebug::a.qcow2
info blkverify:a.raw:a.qcow2
info blkverify:a.raw
info blkverify::a.qcow2
info --image-opts driver=blkverify,raw.filename=a.raw,test.filename=a.qcow2
info --image-opts driver=blkverify,raw.filename=a.raw
map blkverify:a.raw:a.qcow2
compare blkverify:a.raw:a.qcow2 a.raw
info --image-opts +Q,vote-threshold=2
info --output=json --image-opts +Q,vote-threshold=1,read-pattern=fifo
info --image-opts +Q,vote-threshold=2,blkverify=on
info --image-opts +Q,vote-threshold=1,blkverify=on
info --image-opts +Q,vote-threshold=2,rewrite-corrupted=on
info --image-opts +Q,vote-threshold=0
info --image-opts +Q,vote-threshold=3
info --image-opts +Q,vote-threshold=x
info --image-opts +Q,vote-threshold=1,read-pattern=foo
info --image-opts +Q,foo=1,vote-threshold=1
info --image-opts driver=quorum
info --image-opts driver=quorum,vote-threshold=1,children.0.filename=a.raw
map --image-opts +Q,vote-threshold=2
convert -O raw --image-opts +Q,vote-threshold=2 x
compare --image-opts +Q,vote-threshold=2 driver=raw,file.filename=a.raw
compare --image-opts driver=quorum,vote-threshold=2,children.0.driver=raw,children.0.file.filename=a.raw,children.1.driver=qcow2,children.1.file.filename=empty.qcow2 driver=raw,file.filename=a.raw
info --image-opts driver=preallocate,file.filename=a.qcow2
info --image-opts driver=preallocate,file.filename=a.qcow2,prealloc-align=3
convert -n --target-image-opts a.qcow2 driver=raw,file.driver=preallocate,file.file.filename=a.raw
convert -n --target-image-opts a.raw driver=compress,file.driver=qcow2,file.file.filename=empty.qcow2
info --image-opts driver=compress,file.filename=a.qcow2
info --image-opts driver=compress,file.driver=qcow2,file.file.filename=a.qcow2
info --image-opts driver=copy-on-read,file.filename=a.qcow2
convert -n --target-image-opts a.raw driver=copy-on-read,file.driver=qcow2,file.file.filename=empty.qcow2
info --image-opts driver=qcow2,file.driver=quorum,file.vote-threshold=1,file.children.0.driver=file,file.children.0.filename=over.qcow2,file.children.1.driver=file,file.children.1.filename=over.qcow2
map --image-opts driver=qcow2,file.driver=quorum,file.vote-threshold=1,file.children.0.driver=file,file.children.0.filename=over.qcow2,file.children.1.driver=file,file.children.1.filename=over.qcow2
map --image-opts driver=qcow2,file.driver=blkverify,file.test.driver=file,file.test.filename=over.qcow2,file.raw.driver=file,file.raw.filename=over.qcow2
info --image-opts driver=blklogwrites,file.filename=a.qcow2
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=a.raw
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=nosuch
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=a.raw,log-append=on
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=a.raw,log-sector-size=3
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=a.raw,log-append=on,log-sector-size=512
info --image-opts driver=blklogwrites,file.filename=a.qcow2,log.filename=a.raw,log-super-update-interval=0
""".strip().split("\n")


def lines():
    """All command lines, each a list of arguments."""
    yield []
    for group in (GLOBAL, INFO, CREATE, CONVERT, COMPARE, MAP, MEASURE, SNAPSHOT, BITMAP, PROGRESS):
        for line in group:
            yield line.split(" ")
    for line in ENCRYPTION:
        yield line.replace("+S", f"--object {SECRET}").split(" ")
    for line in LUKS:
        line = line.replace("+S", f"--object {SECRET}").replace("+N", "--object secret,id=n,data=new")
        yield line.replace("+K", "+L,key-secret=s").replace("+L", "driver=luks,file.filename=disk.luks").split(" ")
    for line in FILTERS:
        yield line.replace("+B", BLKDEBUG).replace("+Q", QUORUM).split(" ")
    for size in SIZES:
        yield ["create", "-f", "qcow2", "x", size]
        yield ["create", "-f", "raw", "x", size]
        yield ["measure", "--size", size]
    for name in NAMES:
        yield list(name)
