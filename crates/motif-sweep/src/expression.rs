//! Arithmetic over named numbers, `min(rates.w * 0.4, 1)`: text to a postfix program to a number.
//!
//! It knows nothing of trials: names are looked up by whoever evaluates. Functions are libm's, so that a result is
//! the same everywhere.

use std::fmt;

use crate::numeric::decimal;

/// Longest expression, in bytes.
pub(crate) const EXPRESSION_MAX_BYTES: usize = 1_000;
/// Deepest nesting of parentheses, signs and powers.
const NESTING_MAX: usize = 32;

/// What is wrong with an expression, and where: `at` counts characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {at}: {message}")]
pub(crate) struct ExpressionError {
    pub(crate) at: usize,
    pub(crate) message: String,
    /// The name that is not a function.
    pub(crate) unknown_function: Option<String>,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expression {
    program: Vec<Step>,
    /// The names that it reads, each once, in the order of the text.
    names: Vec<String>,
}

/// One step of a program on a stack of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Number(f64),
    /// Index into the names.
    Name(usize),
    Negate,
    Binary(Binary),
    /// A function and the number of its arguments.
    Call(Function, usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Min,
    Max,
    Sqrt,
    Exp,
    Log,
    Log10,
    Abs,
    Round,
    Floor,
    Ceil,
}

/// The functions and their names.
const FUNCTIONS: [(&str, Function); 10] = [
    ("min", Function::Min),
    ("max", Function::Max),
    ("sqrt", Function::Sqrt),
    ("exp", Function::Exp),
    ("log", Function::Log),
    ("log10", Function::Log10),
    ("abs", Function::Abs),
    ("round", Function::Round),
    ("floor", Function::Floor),
    ("ceil", Function::Ceil),
];

/// The names of the functions.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

impl Binary {
    /// How strongly it binds on its left and on its right; powers associate to the right.
    const fn binding(self) -> (u8, u8) {
        match self {
            Self::Add | Self::Subtract => (1, 2),
            Self::Multiply | Self::Divide => (3, 4),
            Self::Power => (8, 7),
        }
    }

    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Power => libm::pow(a, b),
        }
    }
}

/// How strongly a sign binds: `-2 ^ 2` is -4, `-2 * 3` negates 2.
const SIGN_BINDING: u8 = 5;

impl Function {
    fn apply(self, arguments: &[f64]) -> f64 {
        let fold = |pick: fn(f64, f64) -> f64| arguments.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        let first = arguments.first().copied().unwrap_or(f64::NAN);
        match self {
            Self::Min => fold(libm::fmin),
            Self::Max => fold(libm::fmax),
            Self::Sqrt => libm::sqrt(first),
            Self::Exp => libm::exp(first),
            Self::Log => libm::log(first),
            Self::Log10 => libm::log10(first),
            Self::Abs => first.abs(),
            Self::Round => libm::round(first),
            Self::Floor => libm::floor(first),
            Self::Ceil => libm::ceil(first),
        }
    }

    /// Whether it takes any number of arguments from one on; else it takes exactly one.
    const fn is_variadic(self) -> bool {
        matches!(self, Self::Min | Self::Max)
    }
}

impl Expression {
    /// Parses a text.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > EXPRESSION_MAX_BYTES {
            return Err(error(
                1,
                format!("expected at most {EXPRESSION_MAX_BYTES} bytes, found {}", text.len()),
            ));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, next: 0, nesting: 0, program: Vec::new(), names: Vec::new() };
        parser.expression(0)?;
        match parser.peek() {
            Token::End => Ok(Self { program: parser.program, names: parser.names }),
            token => Err(error(parser.at(), format!("expected an operator or the end, found {token}"))),
        }
    }

    /// The names that it reads.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Its value, rounded to 15 significant digits; `values` stand in the order of [`Self::names`]. It may be no
    /// finite number.
    pub(crate) fn evaluate(&self, values: &[f64]) -> f64 {
        let mut stack: Vec<f64> = Vec::new();
        for step in &self.program {
            let value = match *step {
                Step::Number(number) => number,
                Step::Name(index) => values.get(index).copied().unwrap_or(f64::NAN),
                Step::Negate => -pop(&mut stack),
                Step::Binary(binary) => {
                    let right = pop(&mut stack);
                    binary.apply(pop(&mut stack), right)
                }
                Step::Call(function, count) => {
                    let arguments = stack.split_off(stack.len().saturating_sub(count));
                    function.apply(&arguments)
                }
            };
            stack.push(value);
        }
        decimal(pop(&mut stack))
    }
}

/// A parsed program never pops an empty stack.
fn pop(stack: &mut Vec<f64>) -> f64 {
    stack.pop().unwrap_or(f64::NAN)
}

fn error(at: usize, message: impl Into<String>) -> ExpressionError {
    ExpressionError { at, message: message.into(), unknown_function: None }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Binary(Binary),
    Open,
    Close,
    Comma,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Name(name) => write!(f, "the name {name}"),
            Self::Binary(binary) => f.write_str(match binary {
                Binary::Add => "`+`",
                Binary::Subtract => "`-`",
                Binary::Multiply => "`*`",
                Binary::Divide => "`/`",
                Binary::Power => "`^`",
            }),
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::Comma => f.write_str("`,`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The tokens and the place of each, the last one being the end.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut next = 0;
    while let Some(&first) = characters.get(next) {
        let at = next + 1;
        let length = match first {
            '0'..='9' | '.' => number_length(&characters[next..]),
            'a'..='z' | 'A'..='Z' | '_' => name_length(&characters[next..]),
            _ => 1,
        };
        let word: String = characters[next..next + length].iter().collect();
        next += length;
        let token = match first {
            ' ' | '\t' | '\n' | '\r' => continue,
            '+' => Token::Binary(Binary::Add),
            '-' => Token::Binary(Binary::Subtract),
            '*' => Token::Binary(Binary::Multiply),
            '/' => Token::Binary(Binary::Divide),
            '^' => Token::Binary(Binary::Power),
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '0'..='9' | '.' => match word.parse::<f64>() {
                Ok(number) if number.is_finite() => Token::Number(number),
                _ => return Err(error(at, format!("{word} is not a finite number"))),
            },
            'a'..='z' | 'A'..='Z' | '_' => Token::Name(word),
            other => return Err(error(at, format!("unexpected {other:?}: {EXPECTED}"))),
        };
        tokens.push((at, token));
    }
    tokens.push((characters.len() + 1, Token::End));
    Ok(tokens)
}

const EXPECTED: &str = "an expression has numbers, keys, + - * / ^, parentheses and functions";

/// Digits, one dot and an exponent; at least one character.
fn number_length(characters: &[char]) -> usize {
    let mut length = 0;
    let mut before = ' ';
    while let Some(&character) = characters.get(length) {
        let exponent = matches!(character, 'e' | 'E');
        let sign = matches!(character, '+' | '-') && matches!(before, 'e' | 'E');
        if !(character.is_ascii_digit() || character == '.' || exponent || sign) {
            break;
        }
        before = character;
        length += 1;
    }
    length
}

/// Words of letters, digits and underscores, joined by dots.
fn name_length(characters: &[char]) -> usize {
    let part = |character: &&char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
    characters.iter().take_while(part).count()
}

/// A Pratt parser that writes the program in postfix order.
struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    nesting: usize,
    program: Vec<Step>,
    names: Vec<String>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(1, |(at, _)| *at)
    }

    fn take(&mut self) -> (usize, Token) {
        let taken = (self.at(), self.peek().clone());
        self.next += 1;
        taken
    }

    /// An operand and every operator after it that binds at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<(), ExpressionError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(error(self.at(), format!("nested more than {NESTING_MAX} deep")));
        }
        self.operand()?;
        while let Token::Binary(binary) = *self.peek() {
            let (left, right) = binary.binding();
            if left < least {
                break;
            }
            self.next += 1;
            self.expression(right)?;
            self.program.push(Step::Binary(binary));
        }
        self.nesting -= 1;
        Ok(())
    }

    fn operand(&mut self) -> Result<(), ExpressionError> {
        match self.take() {
            (_, Token::Number(number)) => self.program.push(Step::Number(number)),
            (_, Token::Binary(Binary::Subtract)) => {
                self.expression(SIGN_BINDING)?;
                self.program.push(Step::Negate);
            }
            (_, Token::Open) => {
                self.expression(0)?;
                self.close()?;
            }
            (at, Token::Name(name)) if *self.peek() == Token::Open => self.call(at, &name)?,
            (_, Token::Name(name)) => {
                let index = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    self.names.push(name);
                    self.names.len() - 1
                });
                self.program.push(Step::Name(index));
            }
            (at, token) => {
                let message = format!("expected a number, a key, a function or a parenthesis, found {token}");
                return Err(error(at, message));
            }
        }
        Ok(())
    }

    fn call(&mut self, at: usize, name: &str) -> Result<(), ExpressionError> {
        let Some(&(_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            let message = format!("there is no function {name}");
            return Err(ExpressionError { unknown_function: Some(name.to_owned()), ..error(at, message) });
        };
        self.next += 1;
        let mut count = 1;
        self.expression(0)?;
        while *self.peek() == Token::Comma {
            self.next += 1;
            count += 1;
            self.expression(0)?;
        }
        self.close()?;
        if count > 1 && !function.is_variadic() {
            return Err(error(at, format!("{name} takes one argument, found {count}")));
        }
        self.program.push(Step::Call(function, count));
        Ok(())
    }

    fn close(&mut self) -> Result<(), ExpressionError> {
        match self.take() {
            (_, Token::Close) => Ok(()),
            (at, token) => Err(error(at, format!("expected `)`, found {token}"))),
        }
    }
}

#[cfg(test)]
mod tests;
