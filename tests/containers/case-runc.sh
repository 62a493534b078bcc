# runc alone.
low_level=${low_level:-runc}
. "$here/bundles.sh"
. "$here/common-bundles.sh"
