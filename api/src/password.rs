//! What is taken as the administrator's password or PIN.

/// A PIN is guessed over the network 2,880 times a day at most: six digits hold for a year of that, and longer ones do better.
const PIN_DIGITS_MIN: usize = 6;
const CHARS_MIN: usize = 8;
/// A longer one is a mistake of a program.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Checks a password that is to be set; what is wrong and what would be right. The password is not in the text.
pub fn check_password(password: &str) -> Result<(), String> {
    let chars = password.chars().count();
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("it has {} bytes: at most {PASSWORD_BYTES_MAX}", password.len()));
    }
    if password.chars().any(char::is_control) {
        return Err("it has a control character, such as a tab, which no terminal lets be typed".into());
    }
    let (what, least) = match password.bytes().all(|byte| byte.is_ascii_digit()) {
        true => ("digits", PIN_DIGITS_MIN),
        false => ("characters", CHARS_MIN),
    };
    if chars < least {
        return Err(format!(
            "it has {chars} {what}: at least {PIN_DIGITS_MIN} for a PIN of digits, {CHARS_MIN} for a password"
        ));
    }
    Ok(())
}
