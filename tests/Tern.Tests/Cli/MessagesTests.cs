using Tern.Cli;
using Tern.Cli.Terminal;

namespace Tern.Tests.Cli;

/// <summary>Lines on standard error, and the exit codes behind them.</summary>
public sealed class MessagesTests
{
    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("two\r\nlines", "two lines")]
    [InlineData("clear\u001b[2Jscreen", "clear\\u001b[2Jscreen")]
    [InlineData("turned\u202Eround", "turned\\u202eround")]
    [InlineData("next\u0085line\u2028here", "next\\u0085line\\u2028here")]
    public void A_message_is_one_line_without_control_characters(string message, string expected) =>
        Assert.Equal(expected, Messages.OneLine(message));

    [Fact]
    public void Every_kind_of_error_has_its_exit_code()
    {
        foreach (ErrorKind kind in Enum.GetValues<ErrorKind>())
        {
            int expected = kind switch
            {
                ErrorKind.Format or ErrorKind.Semantic or ErrorKind.Limit or ErrorKind.Unsupported or ErrorKind.Template => 65,
                ErrorKind.File => 66,
                _ => 1,
            };
            Assert.Equal(expected, ExitCode.Of(kind));
        }
    }
}
