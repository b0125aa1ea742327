//! Versions that go on air at a planned moment.
//!
//! Owns the waiting: what is due is put on air within a second, and after a restart as soon as the
//! console is there. What can't be done is tried again for an hour, and then given up and written
//! down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Hand, Trouble, activate};
use crate::console::desk::Desk;
use crate::console::to_the_end::to_the_end;
use crate::shell::clock;
use crate::store;
use crate::store::versions::{self, Version};
use crate::time::Timestamp;

/// How long is waited at most before the clock is looked at again: it may have been set.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// For how long.
const GIVE_UP: Duration = Duration::from_secs(3_600);

/// Puts on air what is due, for ever.
pub(in crate::console) async fn watch(desk: Arc<Desk>) {
    loop {
        let pause = look(&desk).await.unwrap_or_else(|error| {
            tracing::error!(%error, "planned prompts can't be looked at");
            AGAIN
        });
        // Either is a reason to look.
        timeout(pause, desk.studio.plans.notified()).await.ok();
    }
}

/// Does what is due, and says when to look again.
async fn look(desk: &Arc<Desk>) -> Result<Duration, store::Error> {
    let planned = desk.read(|db| db.read(versions::planned)).await?;
    let mut pause = LOOK_EVERY;
    for version in planned {
        let Some((at, _)) = version.planned else { continue };
        let now = clock::now().wall;
        if at > now {
            let left = (at - now).to_std().unwrap_or_default();
            pause = pause.min(left);
            break;
        }
        if let Err(trouble) = activate(desk, Hand::Plan, &version.prompt, version.n).await {
            failed(desk, &version, at, &trouble).await?;
            pause = pause.min(AGAIN);
        }
    }
    Ok(pause.max(Duration::from_millis(20)))
}

async fn failed(
    desk: &Desk,
    version: &Version,
    at: Timestamp,
    trouble: &Trouble,
) -> Result<(), store::Error> {
    let Version { prompt, n, .. } = version.clone();
    let why = trouble.words(crate::lang::Lang::En);
    tracing::error!("version {n} of the prompt {prompt} can't be put on air: {why}");
    let late = (clock::now().wall - at).to_std().unwrap_or_default();
    if late > GIVE_UP {
        let what = format!("gave up putting version {n} of the prompt {prompt} on air as planned");
        desk.audit_of("system", what);
        desk.store().run(move |conn| versions::plan(conn, &prompt, n, None)).await?;
    }
    Ok(())
}

/// Plans a version, or takes its plan back: not while it is just put on air.
pub(in crate::console) async fn plan(
    desk: &Arc<Desk>,
    who: &str,
    name: &str,
    n: u32,
    at: Option<Timestamp>,
) -> Result<(), Trouble> {
    let turn = desk.studio.on_air().await;
    let (desk, who, name) = (Arc::clone(desk), who.to_owned(), name.to_owned());
    to_the_end(Trouble::Busy, async move {
        let _turn = turn;
        let (prompt, by) = (name.clone(), who.clone());
        let known = desk.read(move |db| db.read(|conn| versions::find(conn, &prompt, n))).await?;
        let known = known.ok_or(Trouble::Gone)?;
        if at.is_none() && known.planned.is_none() {
            return Err(Trouble::NotPlanned);
        }
        let prompt = name.clone();
        let plan = move |conn: &_| versions::plan(conn, &prompt, n, at.map(|at| (at, &*by)));
        if !desk.store().run(plan).await? {
            return Err(Trouble::TooManyPlans);
        }
        desk.studio.plans.notify_one();
        let what = match at {
            Some(at) => format!("planned version {n} of the prompt {name} for {at}"),
            None => format!("took back the plan for version {n} of the prompt {name}"),
        };
        desk.audit_of(&who, what);
        Ok(())
    })
    .await
}
