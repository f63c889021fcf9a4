//! `ironwake config show`: every setting and where it comes from.

use ironwake_api::SettingOrigin;

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure};

pub async fn show(context: &mut Context) -> Result<(), Failure> {
    let shown = context.client.settings().await?;
    if context.json {
        return Ok(context.output.json(&shown)?);
    }
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for setting in shown.settings {
        let place = setting.place.unwrap_or_default();
        let (from, style) = match setting.origin {
            SettingOrigin::Default => ("default".to_owned(), Style::Faint),
            SettingOrigin::File | SettingOrigin::Settings => (place, Style::Plain),
            SettingOrigin::Credential => (format!("credential {place}"), Style::Plain),
        };
        table.row([(setting.key, Style::Plain), (clean(&setting.value), style), (clean(&from), style)]);
    }
    table.write(&mut context.output, "no settings")?;
    for key in shown.restart {
        let line = format!("{key} was changed and counts from the daemon's next start on");
        let line = context.output.styled(&line, Style::Warning);
        context.output.line(line)?;
    }
    Ok(())
}
