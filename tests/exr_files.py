"""EXR files written by the OpenEXR library 3, 3.5.3, packed by zlib and in base 85."""

import base64
import zlib

PACKED = {
    "zip": (
        "c-"
        "kw|H)LdDU|>kjNX*Mi%_#;lax#lc7=(dhQ4Am%5MYF2hUEO*f}+&o;>`R!6gEhbIVG_qF+4LbCBK{@DZ"
        "j!flR<z10oZ^TWN1oeaY0UEB|&vLnR%)HMJcI8NGz}u3NkBFa~z8cQj<%95=%1k8Pam{6H6Faz`7gki<"
        "65|Q}ZCkJE!KA0JW7Fr7>_IS%Iu1JTs*v1I>t%%7Rpe;*z4wymSU$u=>P2kRvj46Vp=}oERad2s0r}JP"
        "E`Vamfh@4}K_qaD3Eyh`CpqO<ZBgQO<T|Icp{}hZ7y5oZLofB0dchM0<-jMQ2%QNl7`R_@8WP(zG--Qg"
        "||F3M(fcdzg!kM}*L3r6k`IZ4J71);0=H<fb$8x###rIGiw66X#j?;?9MJ3FRSj8a5Lv6&V%pchm^{IP"
        "|%h+38<mVnV{N<Db}_HvN6{<KWlc=iDt%eye<Nd@=WgG>7IluScy{jAyC~1ihPhh<RzXR{1~UcjYRaR`"
        "ZQ59yCb*OFyFSUCzO9Xy=`SpxCg2cqpJ^L5cs<zFWGz(oxq-);W0W^=1?AIX81o<Ak*3I(`wdn=P3X-"
        "||_?6x@2g>3IWlqyU5R9P@(!u=u)D"
    ),
    "zips_half": (
        "c-n=KKX2497>D1xE7$U;B~V6&%q*0f?=E&?pV+7vs8~?K#ceI6Nt9Tn-K>6sj*R&Ps2{-tAE07n%E)-"
        "1plZ%}tsX2yiXK0|{QSnr`P+AcApk5-lROt$-"
        "7PX%E7<R{&oF@g8sH7f;;gJhUCSc>YrTFrOcRwH$viE-"
        "!PnwqBEf@)Yuw%Ip{cCPEV=w|FO#|WP^F^USlJ_#@<L>^F2z!POq49(I4cqbTXwe&>SZNF-"
        "j9z&uDWgKlVjM~c*SPrNT%xapAqV^6i};5<|nXg`$@h&ggi@51pLCE@&|c`d^PO(21$^gkQwp{`5pNK`"
        "4jmYxk8RdJzpay$oI%ENHu!+!oB_kQ$00Pn30*D4P0u?%wSIDdOmciH8Y2R1UeYG)S3wZd_u^UOUc?|q"
        "Deyxd4y?iEdkmU=-"
        "73sPYI2wrVTZ8+jXtA6hc2F;g0KCi$fhYp$Q+muC+FV$d5?$#C5I3k&c?kL{DAUS{niLn9rWMuC)V3*d"
        "dGAE~dSeOtWj&ust`y+6^=8mbL6TroF8gaF6@kb91d7aKaCH%wM><)=IAVHE;M!H`m$?H~f~jeBaHrw&"
        "Jkx7XIQMl@PM7"
    ),
    "none_layers": (
        "c-"
        "o!RF=!J}90u?&Y1*XPYBUNCf({N2Qe%lBgOFD(DkxY=u?`NN$!l|vT#nq4rXUzpq=;w{kt!lZREmfe5h"
        "*HC#KBQF7r{+O!9@qbFLzI0Z6U>X@Z)=TdEZOZKU{tHo=6lxp=3FZEPGs(ZO_LDpY2Bk;T2I1t#~rL;z"
        "`|>6Mciy^-"
        "F!n5nc8n3e}2Rlb&Z+oqyKBhegY`Ms259oxtg8qu)jn`s$)oYm@D{WovTPeP!E`$7)4cTe1qi#kCu<Jm"
        "9&q;165AUBy_rYWau-"
        "?PlI9)TDI6;}1y3XRY2phQyMuSh{7@F8ZZqNBEPjgy+|6XB@r3e#>e75q8BImq@99ily?2%3msvbcA_R"
        "<rkHE!{c#Y<p-"
        "79I>W4}e5ta#E6h=q_f>vZIS>!?s>)As{R<D`|E}g)U@8wx(+thh9L?t=`m{7M$RZc4+TQ6lut1CSj^5"
        "{^`m_vpr`c((+TQ6l@R2^#SNfLk(5Gd&KNobf?eBCO_>un^-8=-"
        "u1dtFheOit?Gr{l5t#T*+w1FN<(k9v>It`|v+rU=ZPK%t(PSIsBg;slqXtjY|l%@>jMBHEsx()0jL4$N"
        "yBn+mY+rUv8q7gbFx(%kF+rUXWMMWx!H3n1AZN7xaC7&8%t-"
        "%y@8#qHvI!6~okHHjl8@NbQbcrsDUV|y<HgJWe=^9-Z>kOu#+rSN)p<8rYtT&i~ZUc8{mhRF$ku-"
        "TD{cQseXpSDzBeB6?3c3wErg?fw&%{Q9Dd;xvoEGQ>y%H&dDd;xvy7m5`H}qEg2KY_<N&"
    ),
    "piz": (
        "c-n>0PbdUo7{~EvB{@(E<>27p;GnQMNNPtM927~B9K2@U-"
        "F<7kGtIoQO4%eyk|arzBuUaHX_K_c!O_vt(b18c-"
        "z>H3xtRLYw|W1}+dK0eU9k!xveQCq>4pebg@)?!Zi=Fj=!yLz+ne(P8HUQ!e>xhhbc7KTN;}>H&3c)*q"
        "B<%)RS<3JsL*%C;=l7;rR7NA$e^r>NAOify8WRqZ8Ii}@+j$g!cb*#bv6;&ft31Z`vIv9md(eLR9*Io@"
        "+lL_F=@7iS@b1^CQv#>wZ-"
        "{DM~6^zA|<IeR@$kvctP1^qV)vPHtfSOoI{Rv9t!XbFRWkT4c_5{^=IO%qHz=#Y!OuhS*5OlI%t3<*3H"
        "lY1)Q(#w_B~BZii0jh91^^V8I{^u^xs|7>7yL(=Y=Lq*=S*gMkd|CCI`Gtg>E%b=ZJS)?2U*JFv@o5BA"
        "{z4p|?;F`U3D>oYiq3%F!`1v$8e8`igwhda1u{Sf^Fc!VeG8>=t1X8"
    ),
    "colour": (
        "c-"
        "kw|H)LdDU|>kjNX*Mi%_#;lax#lc7|elUP7I6;5Won<?ieCL7$OYG`MCu}sl~;a`FSX8kR)?TVo73nW?"
        "o8uIYUx@g;6Gh00RQB0kJR;r(_lv<Rn%SRF{*Pm+D`Xl3Iks0z07~vm!OevA7^Lxg;pDBr~5OEhj&*gn"
        "<RDyTQIVxhOR?4`RG?YF-IYTbWTB0|$~7$V$R9Q%W+>j3}urNM$H4Day=CXW#{^Ps{^3A~QEJJ(VF18Y"
        "oK{5hj8{v?4A!LxOb+yL8m7SvF=Y3xcAfv~KO$_G3ZN?NwG;HQOo|23fy)mBmz6u^=d7jbxh`Bg4!f{|"
        "O+!8$h)$V7zhR(v>G06&a@9x)gNr+18`%Q*VV`4Sc-$Ecet~f#Ko88xAwKGBK2N2k!&``AmHu"
    ),
}


def exr_file(name):
    return zlib.decompress(base64.b85decode(PACKED[name]))
