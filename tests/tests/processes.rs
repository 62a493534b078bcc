//! Fork and its children.
use anyhow::Result;
use nvshare_tests::world::{Tenant, World, until};

const REPORT: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];

/// A program in Python, whose forks are real ones.
fn python(world: &World, text: &str) -> Result<Tenant> {
    let mut command = world.command("python3")?;
    command.args(["-u", "-c", text]);
    Tenant::spawn(command)
}

#[test]
fn a_child_that_does_not_use_cuda_does_not_keep_its_dead_parent_alive() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let mut parent = python(
        &world,
        "import ctypes, os, sys\n\
         cuda = ctypes.CDLL('libcuda.so.1')\n\
         assert cuda.cuInit(0) == 0\n\
         if os.fork() == 0:\n\
         \x20   os.setsid(); print('{\"child\": true}'); sys.stdin.read(); os._exit(0)\n\
         sys.stdin.read()\n",
    )?;
    parent.next("child")?;
    until("the parent is known", || Ok(scheduler.status()?.tenants.len() == 1))?;
    parent.kill()?;
    until("the parent's end is noticed", || Ok(scheduler.status()?.tenants.is_empty()))?;
    Ok(())
}

#[test]
fn a_child_forked_before_init_is_a_tenant_of_its_own() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    let parent = python(
        &world,
        "import ctypes, os, sys\n\
         cuda = ctypes.CDLL('libcuda.so.1')\n\
         child = os.fork()\n\
         assert cuda.cuInit(0) == 0\n\
         if child == 0: print('{\"child\": true}'); sys.stdin.read(); os._exit(0)\n\
         print('{\"parent\": true}'); sys.stdin.read(); os.waitpid(child, 0); print('{\"ended\": true}')\n",
    )?;
    until("both are known", || Ok(scheduler.status()?.tenants.len() == 2))?;
    assert_eq!(parent.finish()?["ended"], true);
    Ok(())
}

#[test]
fn a_child_forked_after_init_gets_the_drivers_answer() -> Result<()> {
    let world = World::new(REPORT)?;
    let _scheduler = world.scheduler(&[])?;
    let text = "import ctypes, os\n\
         cuda = ctypes.CDLL('libcuda.so.1')\n\
         assert cuda.cuInit(0) == 0\n\
         if os.fork() == 0:\n\
         \x20   n = ctypes.c_int(); print('{\"code\": %d}' % cuda.cuDeviceGetCount(ctypes.byref(n)), flush=True); os._exit(0)\n\
         os.wait()\n";
    let under = python(&world, text)?.next("code")?;
    let mut command = world.native("python3")?;
    command.args(["-u", "-c", text]);
    assert_eq!(under, Tenant::spawn(command)?.next("code")?);
    assert_eq!(under, 3);
    Ok(())
}
